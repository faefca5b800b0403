#pragma once

#include <ATen/Context.h>

namespace distill::pipeline {

/// As long as it lives, LibTorch's operators for GPUs give the same bits each time. Not
/// `warn_only`: with it the backward passes of LibTorch's fused attention go on adding atomically.
/// What has no such body throws; nothing that a run calls is among LibTorch's list of those.
class RepeatableScope {
 public:
  RepeatableScope() {
    at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false);
    // Fresh tensors need no filling: all of ours are written before they are read.
    at::globalContext().setDeterministicFillUninitializedMemory(false);
  }
  ~RepeatableScope() {
    at::globalContext().setDeterministicAlgorithms(before_, warned_before_);
    at::globalContext().setDeterministicFillUninitializedMemory(filled_before_);
  }
  RepeatableScope(const RepeatableScope&) = delete;
  RepeatableScope& operator=(const RepeatableScope&) = delete;

 private:
  const bool before_ = at::globalContext().deterministicAlgorithms();
  const bool warned_before_ = at::globalContext().deterministicAlgorithmsWarnOnly();
  const bool filled_before_ = at::globalContext().deterministicFillUninitializedMemory();
};

}  // namespace distill::pipeline

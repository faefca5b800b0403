#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <distill/core/files.h>
#include <distill/core/strings.h>
#include <distill/losses/forward_kl.h>
#include <distill/pipeline/run.h>
#include <distill/recipe/read.h>
#include "support/recording_logger.h"
#include "support/temp_folder.h"

namespace distill::pipeline::testing {

namespace fs = std::filesystem;
using distill::testing::message_of;
using distill::testing::RecordingLogger;
using distill::testing::TempFolder;

inline const fs::path kModel = fs::path(DISTILL_SOURCE_DIR) / "tests/reference/tiny_llama";

inline std::string read(const fs::path& path) {
  return core::read_file(path, 1 << 24);
}

/// A run that takes a second: two of the four layers of the tiny Llama.
class TinyRun {
 public:
  TinyRun() : registries(recipe::builtin_registries()) {
    registries.losses.add<losses::ForwardKlOptions>(
        "counted_kl",
        [this](const losses::ForwardKlOptions& options) { return new Counted(options, *this); });
  }

  std::string text() const {
    return core::concat(R"(name: tiny
device: cpu
output: )",
                        (folder / "run").string(), R"(
student: {init: {from: teacher, keep_layers: 2}, freeze: [model.embed_tokens.weight]}
teacher: {kind: local, model: )",
                        kModel.string(), R"(}
data:
  train: [{path: )",
                        train_file.string(), R"(}]
  eval: [{path: )",
                        (kModel / "eval.jsonl").string(), R"(}]
  sequence_length: 64
loss: [{kind: counted_kl, temperature: 1.0}]
train:
  steps: 12
  batch_size: 2
  micro_batch_size: 1
  optimizer: {kind: adamw, lr: 3.0e-3}
  schedule: {warmup_steps: 2}
checkpoint: {every: 4}
evaluate: {every: 5}
)");
  }
  recipe::Recipe recipe(const std::vector<std::string>& overrides = {}) const {
    return recipe::read_recipe(text(), "tiny.yaml", overrides, registries);
  }
  RunResult run(const std::vector<std::string>& overrides = {},
                StartPolicy policy = StartPolicy::kAuto) {
    RunOptions options;
    options.policy = policy;
    options.stop = &stop;
    options.quiet = true;
    return run_recipe(recipe(overrides), options, log);
  }
  /// Runs until the loss was formed `calls` times; returns the message.
  std::string run_and_stop(int calls, const std::vector<std::string>& overrides = {}) {
    stop_after = calls;
    const std::string message = message_of<Interrupted>([&] { run(overrides); });
    stop_after = 0;
    stop.request(0);
    return message;
  }
  fs::path in_run(const std::string& name) const { return folder / "run" / name; }

  TempFolder folder;
  fs::path train_file = kModel / "train.jsonl";
  recipe::Registries registries;
  RecordingLogger log;
  core::StopFlag stop;
  int stop_after = 0;  ///< 0: never

 private:
  class Counted : public losses::Loss {
   public:
    Counted(const losses::ForwardKlOptions& options, TinyRun& owner)
        : kl_(options), owner_(owner) {}
    std::string name() const override { return "counted_kl"; }
    bool needs_teacher() const override { return true; }
    types::LossValue operator()(const losses::LossInput& input) const override {
      if (owner_.stop_after > 0 && --owner_.stop_after == 0) owner_.stop.request(15);
      return kl_(input);
    }

   private:
    losses::ForwardKl kl_;
    TinyRun& owner_;
  };
};

}  // namespace distill::pipeline::testing

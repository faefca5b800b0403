#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include <distill/types/model_input.h>

namespace distill::types {

struct TeacherTokens;

/// What one micro-batch feeds to teacher, student and loss. The shift is done here, once: `labels`
/// at t is the token that follows position t, and `loss_mask` says whether that prediction counts.
struct Batch {
  ModelInput input;
  at::Tensor labels;               ///< int64 [N]; 0 where loss_mask is false
  at::Tensor loss_mask;            ///< bool [N]; the last position of a segment is always false
  std::int64_t num_targets = 0;    ///< how many entries of loss_mask are true
  std::int64_t num_sequences = 0;  ///< rows of the recipe's batch size in it
  std::int64_t vocabulary = 0;     ///< ids of the tokenizer; 0: not known, all rows of a head count
  /// What a teacher with another tokenizer reads; null: it reads what the student reads.
  std::shared_ptr<const TeacherTokens> teacher_tokens = {};
  /// What kind of data each segment is, by the recipe's names; empty: none has a name.
  std::vector<std::string> segment_labels = {};
};

/// The batch with its tensors on `device`; to a GPU through pinned memory, without waiting.
Batch moved_to(const Batch& batch, at::Device device);

}  // namespace distill::types

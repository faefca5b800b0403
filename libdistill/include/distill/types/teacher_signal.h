#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include <ATen/core/Tensor.h>

namespace distill::types {

/// What the model's own config does to logits before the softmax.
struct LogitTransform {
  double scale = 1.0;    ///< logits are multiplied by it
  double softcap = 0.0;  ///< c > 0: c * tanh(logits / c), after the scale; 0: off
  bool operator==(const LogitTransform&) const = default;
};

/// The teacher's last hidden states and its head: the loss forms logits tile by tile.
struct DenseHidden {
  at::Tensor hidden;  ///< [N, Ht], after the final norm
  at::Tensor head;    ///< [Vt, Ht]
  LogitTransform transform;
};

/// Logits the caller already holds.
struct DenseLogits {
  at::Tensor logits;  ///< [N, Vt], before temperature
};

/// The teacher's likeliest ids only, as a server or a cache gives them. What is left of its
/// probability is one more class, the tail.
struct TopKLogProbs {
  at::Tensor ids;  ///< int64 or int32 [N, K], ascending in each row, each once, below `vocabulary`
  at::Tensor log_probs;  ///< fp32 or fp64 [N, K] of the whole softmax, so they sum to 1 at most
  std::int64_t vocabulary = 0;  ///< ids of the teacher, Vt
  /// What the teacher's logits were divided by before the softmax; servers give 1.
  double temperature = 1.0;
};

/// A few ids drawn from the teacher's distribution, weighted so that the expected value of
/// sum_k weight_k f(id_k) is sum_v P_v f(v) for any f.
struct SampledLogProbs {
  at::Tensor ids;        ///< int64 or int32 [N, K], ascending in each row, each once
  at::Tensor weights;    ///< fp32 or fp64 [N, K], >= 0
  at::Tensor log_probs;  ///< fp32 or fp64 [N, K], log P of each id in the whole softmax
  std::int64_t vocabulary = 0;
  double temperature = 1.0;  ///< as above; the loss must have the same
};

struct TeacherTokens;

/// A teacher that reads the same text in other tokens. What it says is about chunks of the text
/// (distill/types/teacher_tokens.h), so only losses that are made for it can use it: alm, uld.
struct AlignedChunks {
  std::shared_ptr<const TeacherTokens> tokens;  ///< of the batch; on the student's device
  std::optional<DenseHidden> hidden = {};  ///< of the teacher's Nt positions; nothing: not shown
  /// fp32 or fp64 [C]: log-probability of each chunk; undefined: follows from `hidden`.
  at::Tensor log_probs = {};
};

struct SignalPart;

/// What several teachers say: each of some positions, or all of the same positions with a weight.
struct PartedSignal {
  std::vector<SignalPart> parts;
};

/// What a teacher says about each position of a batch; monostate: there is no teacher.
using TeacherSignal = std::variant<std::monostate, DenseHidden, DenseLogits, TopKLogProbs,
                                   SampledLogProbs, AlignedChunks, PartedSignal>;

/// One teacher's share of a PartedSignal.
struct SignalPart {
  /// int64 [M], ascending: the positions of the batch that the rows of `signal` speak of. The parts
  /// of a batch then share its positions out among them. Undefined: all positions.
  at::Tensor rows;
  double weight = 1.0;   ///< of its loss; weights of parts over the same positions sum to 1
  TeacherSignal signal;  ///< no PartedSignal itself
};

}  // namespace distill::types

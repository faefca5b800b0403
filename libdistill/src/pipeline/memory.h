#pragma once

#include <cstdint>
#include <optional>

#include <distill/core/log.h>
#include <distill/pipeline/plan.h>
#include <distill/recipe/recipe.h>
#include <distill/recipe/wiring.h>

namespace distill::pipeline {

/// From configs and headers of the models. `data_bytes`: what is held of the data.
/// `teacher_tokens_a_token`: how many a teacher with another tokenizer reads for one of the
/// student's.
MemoryEstimate estimate_memory(const recipe::Recipe& recipe, const recipe::PlannedModels& models,
                               std::uint64_t data_bytes, double teacher_tokens_a_token = 1);

struct Trainable {
  std::int64_t parameters = 0;
  std::int64_t idle = 0;     ///< of them, of experts that perhaps no token chooses
  std::int64_t moments = 0;  ///< numbers that the optimizer keeps beside them
};
/// Of the student: its own parameters, or its adapters'.
Trainable count_trainable(const recipe::Recipe& recipe, const recipe::PlannedModels& models);

/// Why `memory` does not fit into `available` (empty: what models::available_memory says).
struct MemoryTrouble {
  std::string text;      ///< one line; empty: it fits
  bool certain = false;  ///< or only by the estimate
};
MemoryTrouble memory_trouble(const MemoryEstimate& memory, at::Device device,
                             std::optional<std::uint64_t> available);

/// Throws InputError when what is certain to be allocated on `device` is more than `available`
/// (empty: what models::available_memory says), and warns when the estimate of all is.
void require_memory(const MemoryEstimate& memory, at::Device device,
                    std::optional<std::uint64_t> available, core::Logger& log);

}  // namespace distill::pipeline

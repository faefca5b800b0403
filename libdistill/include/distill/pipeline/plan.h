#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <distill/recipe/recipe.h>
#include <distill/recipe/wiring.h>

namespace distill::pipeline {

/// Bytes that a run needs, by purpose. An estimate: activations and scratch are modelled.
struct MemoryEstimate {
  std::uint64_t teacher = 0;
  std::uint64_t student = 0;
  std::uint64_t gradients = 0;
  std::uint64_t optimizer = 0;    ///< master weights and moments
  std::uint64_t activations = 0;  ///< of one micro-batch
  std::uint64_t loss = 0;         ///< scratch of the fused loss and the gradient of the head
  std::uint64_t library = 0;      ///< LibTorch itself, tokenizer and data
  std::uint64_t total() const {
    return teacher + student + gradients + optimizer + activations + loss + library;
  }
};

/// What a recipe would do, without doing it.
struct Plan {
  recipe::PlannedModels models;
  std::int64_t trainable_parameters = 0;
  std::int64_t steps = 0;
  std::int64_t train_rows = 0, train_tokens = 0, train_targets = 0;
  std::int64_t eval_rows = 0, eval_tokens = 0, eval_targets = 0;
  std::int64_t run_tokens = 0;  ///< input tokens of all steps
  recipe::Preflight preflight;
  data::DataReport train_data;
  std::optional<data::DataReport> eval_data;
  MemoryEstimate memory;
};

/// Reads configs, weight headers and data; trains nothing and writes nothing but the token cache.
/// Throws as wiring does, and what the hooks throw.
Plan make_plan(const recipe::Recipe& recipe, core::Logger& log,
               const recipe::DataHooks& hooks = {});

std::string plan_text(const recipe::Recipe& recipe, const Plan& plan);
std::string plan_json(const recipe::Recipe& recipe, const Plan& plan);

}  // namespace distill::pipeline

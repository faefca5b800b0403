#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <distill/recipe/recipe.h>
#include <distill/recipe/wiring.h>

namespace distill::pipeline {

/// Bytes that a run needs, by purpose. What weights, optimizer and gradients take is counted, the
/// rest is modelled.
struct MemoryEstimate {
  std::uint64_t teacher = 0;         ///< weights that are converted on the way in
  std::uint64_t teacher_mapped = 0;  ///< weights used where their file is mapped
  /// Head and answers of a teacher in another process, taken to be as wide as the student: it is
  /// not asked before training.
  std::uint64_t teacher_answers = 0;
  std::uint64_t student = 0;         ///< weights in the run's precision
  std::uint64_t student_mapped = 0;  ///< frozen weights used where their file is mapped
  std::uint64_t master = 0;          ///< fp32 copies of bf16 weights that are trained
  std::uint64_t moments = 0;         ///< of the optimizer, fp32
  std::uint64_t gradients = 0;
  std::uint64_t idle_gradients = 0;  ///< of them, of experts that perhaps no token chooses
  std::uint64_t activations = 0;     ///< that one micro-batch keeps for its backward pass
  std::uint64_t one_layer = 0;       ///< while it runs
  std::uint64_t signal = 0;          ///< hidden states of the teachers for one micro-batch
  std::uint64_t loss = 0;            ///< scratch of the fused loss
  std::uint64_t evaluation = 0;      ///< logits of the rows that are compared at a time
  std::uint64_t fit = 0;      ///< for `student.init.fit`, beyond what training takes in its place
  std::uint64_t library = 0;  ///< LibTorch itself, tokenizer, data, answers read ahead

  /// What is allocated whatever the batches are. The system may drop mapped pages.
  std::uint64_t certain() const {
    return teacher + student + master + moments + gradients - idle_gradients;
  }
  std::uint64_t total() const {
    return certain() + idle_gradients + teacher_mapped + teacher_answers + student_mapped +
           activations + one_layer + signal + loss + evaluation + fit + library;
  }
};

/// Bytes that a run or a stage will leave on the disk.
struct DiskEstimate {
  std::uint64_t model = 0;        ///< weights of its result
  std::uint64_t checkpoints = 0;  ///< as many as are kept, and the one that is being written
  std::uint64_t forgetting = 0;   ///< the checkpoint that `forgetting` goes back to
  std::uint64_t attempts = 0;     ///< of attempts that gates may have repeated, each as the first
  std::uint64_t cache = 0;        ///< of a teacher's answers
  std::uint64_t rows = 0;         ///< generated data, at most

  std::uint64_t total() const { return model + checkpoints + forgetting + attempts + cache + rows; }
};

struct PlannedSet {
  std::string name;
  eval::SetKind kind = eval::SetKind::kPerplexity;
  std::int64_t rows = 0;
};

/// What a recipe would do, without doing it.
struct Plan {
  recipe::PlannedModels models;
  std::int64_t trainable_parameters = 0;
  std::int64_t steps = 0;
  std::int64_t train_rows = 0, train_tokens = 0, train_targets = 0;
  std::int64_t eval_rows = 0, eval_tokens = 0, eval_targets = 0;
  std::vector<PlannedSet> sets;  ///< of `evaluate.sets`
  std::int64_t run_tokens = 0;   ///< input tokens of all steps
  recipe::Preflight preflight;
  data::DataReport train_data;
  std::optional<data::DataReport> eval_data;
  MemoryEstimate memory;
  DiskEstimate disk;
  std::optional<std::uint64_t> free_space;  ///< where its folder is
  std::string memory_warning;  ///< why it may not fit; empty: it fits, or nobody has looked
};

/// How many rows there will be for each that a file holds now; 1 for a file that is what it is.
using RowFactor = std::function<double(const std::string& path)>;

/// Reads configs, weight headers and data; trains nothing and writes nothing but the token cache.
/// Throws as wiring does, and what the hooks throw.
Plan make_plan(const recipe::Recipe& recipe, core::Logger& log, const recipe::DataHooks& hooks = {},
               const RowFactor& factor = {});

/// The same of all the files of a report together, by their tokens.
double row_factor(const data::DataReport& report, const RowFactor& factor);

std::string plan_text(const recipe::Recipe& recipe, const Plan& plan);
std::string plan_json(const recipe::Recipe& recipe, const Plan& plan);

}  // namespace distill::pipeline

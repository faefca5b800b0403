#include "pipeline/disk.h"

#include <algorithm>

#include <distill/core/strings.h>

#include "pipeline/cost_numbers.h"

namespace distill::pipeline {

namespace {

using core::concat;
using core::human_bytes;

/// Checkpoints that a run writes, as far as `most` may lie there at one time.
double num_checkpoints(const recipe::Recipe& recipe, std::int64_t steps, std::int64_t most) {
  const std::int64_t every = recipe.checkpoint.every;
  const std::int64_t written = every > 0 ? (steps - 1) / every + 1 : 1;
  return count(std::clamp<std::int64_t>(written, 1, most));
}

double num_tries(const recipe::Recipe& recipe) {
  double tries = 0;
  for (const auto& gate : recipe.gates) {
    if (gate.on_failure == recipe::OnFailure::kRetry) tries += count(std::ssize(gate.with));
  }
  return tries;
}

}  // namespace

DiskEstimate estimate_disk(const recipe::Recipe& recipe, const Plan& plan) {
  const double trained = count(plan.trainable_parameters);
  const bool adapters = !plan.models.adapters.empty();
  const double checkpoint = 12 * trained;  // fp32 weights and two moments
  const std::int64_t keep = recipe.checkpoint.keep;
  const double kept = num_checkpoints(recipe, plan.steps, keep) * checkpoint;
  const double good = recipe.forgetting && recipe.forgetting->react ? checkpoint : 0;
  DiskEstimate disk;
  disk.model =
      bytes(adapters ? 4 * trained
                     : width_of(recipe.precision) * count(plan.models.student.num_parameters));
  // One more while the oldest is not removed yet.
  disk.checkpoints = bytes(num_checkpoints(recipe, plan.steps, keep + 1) * checkpoint);
  disk.forgetting = bytes(good);
  disk.attempts = bytes(num_tries(recipe) * (kept + good));
  return disk;
}

std::string disk_text(const DiskEstimate& disk) {
  std::string text;
  const auto add = [&](const char* name, std::uint64_t bytes) {
    if (bytes > 0) text += concat(text.empty() ? "" : ", ", name, " ", human_bytes(bytes));
  };
  add("model", disk.model);
  add("checkpoints", disk.checkpoints);
  add("forgetting", disk.forgetting);
  add("earlier attempts", disk.attempts);
  add("cache", disk.cache);
  add("rows at most", disk.rows);
  return text.empty() ? "nothing to speak of" : text;
}

std::string free_text(const std::optional<std::uint64_t>& free, std::uint64_t needed) {
  if (!free) return "how much is free is unknown";
  return concat(human_bytes(*free), " free", needed <= *free ? "" : ": TOO LITTLE");
}

void write_disk(core::JsonWriter& json, const DiskEstimate& disk) {
  json.key("disk_bytes")
      .begin_object()
      .member("model", disk.model)
      .member("checkpoints", disk.checkpoints)
      .member("forgetting", disk.forgetting)
      .member("attempts", disk.attempts)
      .member("cache", disk.cache)
      .member("rows", disk.rows)
      .member("total", disk.total())
      .end_object();
}

}  // namespace distill::pipeline

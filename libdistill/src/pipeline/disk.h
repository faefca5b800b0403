#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <distill/core/json_writer.h>
#include <distill/pipeline/plan.h>

namespace distill::pipeline {

/// What a run of this recipe will leave. Of `plan` the models, steps and trained parameters count.
DiskEstimate estimate_disk(const recipe::Recipe& recipe, const Plan& plan);

/// `model 12 MiB, checkpoints 80 MiB`
std::string disk_text(const DiskEstimate& disk);
/// `10 GiB free`, with a word where `needed` is more.
std::string free_text(const std::optional<std::uint64_t>& free, std::uint64_t needed);
/// The member `disk_bytes`.
void write_disk(core::JsonWriter& json, const DiskEstimate& disk);

}  // namespace distill::pipeline

#pragma once

#include <optional>
#include <vector>

#include <distill/core/json_writer.h>
#include <distill/io/json_value.h>
#include <distill/pipeline/report.h>

namespace distill::pipeline {

using SetSide = std::optional<eval::SetSummary> SetReport::*;

/// Whether any set was measured so.
bool has_sets(const std::vector<SetReport>& sets, SetSide side);
/// The member `sets` of an open object, with one for each set; nothing where there is none.
void write_sets(core::JsonWriter& json, const std::vector<SetReport>& sets, SetSide side);
/// The member `differences`: each set's `after_minus_before` and `after_minus_teacher`.
void write_differences(core::JsonWriter& json, const std::vector<SetReport>& sets);

/// The student before or after training, as a member `name`; nothing where nothing was measured.
void write_side(core::JsonWriter& json, const char* name,
                const std::optional<eval::Evaluation>& evaluation,
                const std::vector<SetReport>& sets, SetSide side);

/// All of them from report.json. Throws FormatError.
std::vector<SetReport> read_sets(const io::JsonCursor& report);

}  // namespace distill::pipeline

#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <distill/core/json_writer.h>
#include <distill/io/json_value.h>
#include <distill/pipeline/forgetting_reaction.h>

namespace distill::pipeline {

// Parts that forgetting.json and report.json have in common (docs/formats/run_folder.md).

/// How much worse each set is than before training; NaN is written as null.
using Drops = std::vector<std::pair<std::string, double>>;

/// The members `drops` and `reactions` of an object.
void write_drops(core::JsonWriter& json, const Drops& drops);
void write_reactions(core::JsonWriter& json, const std::vector<ForgettingReaction>& reactions);

// All throw FormatError.
Drops read_drops(const io::JsonCursor& object);
std::vector<ForgettingReaction> read_reactions(const io::JsonCursor& object);
/// A number; NaN for null.
double read_drop(const io::JsonCursor& object, std::string_view name);
/// 0 or more.
std::int64_t read_count(const io::JsonCursor& object, std::string_view name);

}  // namespace distill::pipeline

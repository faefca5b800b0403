#pragma once

#include <string>

#include <distill/core/json_writer.h>
#include <distill/io/json_value.h>
#include <distill/pipeline/report.h>

namespace distill::pipeline {

void write(core::JsonWriter& json, const ForgettingReport& report);
/// Throws FormatError.
ForgettingReport read_forgetting_report(const io::JsonCursor& object);

/// Lines for people.
std::string forgetting_text(const ForgettingReport& report);

}  // namespace distill::pipeline

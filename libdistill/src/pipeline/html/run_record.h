#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <distill/io/json_value.h>

#include "pipeline/html/run_metrics.h"

namespace distill::pipeline::html {

/// A stage of a run that has several.
struct StagePage {
  std::string name;
  std::string kind;            ///< as the manifest has it; may be empty
  io::JsonValue report;        ///< null where it has none
  bool has_page = false;       ///< a report.html
  Curve loss = {};             ///< of its steps
  ByName<Samples> drops = {};  ///< as in RunMetrics
  std::optional<double> max_drop = {};
};

/// All that a page is made from. What is missing is null or empty.
struct RunRecord {
  std::filesystem::path folder;
  io::JsonValue report;
  io::JsonValue manifest;
  std::string recipe;  ///< without the line that marks it as a run's
  RunMetrics metrics;
  std::vector<StagePage> stages;
  bool is_stage = false;              ///< of a run in the folder above `stages`
  std::vector<std::string> problems;  ///< files that could not be read, and why
};

/// Reads a run folder: `report_json` where it is not empty, else its stopped.json, else its
/// report.json. Throws InputError when there is neither a report nor metrics.
RunRecord read_run_record(const std::filesystem::path& folder, const std::string& report_json);

}  // namespace distill::pipeline::html

#pragma once

#include <filesystem>
#include <string>

namespace distill::pipeline {

struct ReportHtmlOptions {
  std::filesystem::path run;       ///< run folder
  std::filesystem::path out = {};  ///< `run`/report.html when empty
  std::string report_json = {};    ///< instead of `run`/report.json
};

/// The page that shows a run: one file of HTML with its style and pictures inside and no script,
/// made from what the run folder holds: report.json, metrics.jsonl, manifest.json, recipe.yaml and
/// the reports of its stages. What is not there is left out; what cannot be read is said on the
/// page. metrics.jsonl may be of any length: curves keep least and greatest values.
/// Returns the file. Throws InputError when `run` holds neither metrics nor a report, IoError.
std::filesystem::path write_report_html(const ReportHtmlOptions& options);

}  // namespace distill::pipeline

#pragma once

#include <string>
#include <string_view>

#include "pipeline/html/run_record.h"

namespace distill::pipeline::html {

/// Parts of the page, from top to bottom; each is empty where the run has nothing to show for it.
std::string head_section(const RunRecord& record);        ///< name, date, main figures
std::string results_section(const RunRecord& record);     ///< teacher, student before and after
std::string stages_section(const RunRecord& record);      ///< of a run in stages, with links
std::string training_section(const RunRecord& record);    ///< curves by step
std::string evaluation_section(const RunRecord& record);  ///< curves of evaluations
std::string kept_section(const RunRecord& record);        ///< sets over time
std::string bias_section(const RunRecord& record);        ///< categories of sets
std::string events_section(const RunRecord& record);      ///< gates, reactions, other events
std::string cost_section(const RunRecord& record);
std::string lineage_section(const RunRecord& record);
std::string recipe_section(const RunRecord& record);
std::string foot_section(const RunRecord& record);  ///< what could not be read

/// `<section>` with a heading; empty when `inside` is.
std::string section(std::string_view title, std::string_view inside);

/// The page's style, light and dark.
std::string_view style();

/// The last names of a path: enough to know a model by.
std::string short_path(const std::string& path);

}  // namespace distill::pipeline::html

#include <distill/core/paths.h>
#include <distill/core/strings.h>
#include <distill/io/json_value.h>
#include <distill/recipe/read.h>

#include "commands/inspect_kinds.h"

namespace distill::commands {

namespace fs = std::filesystem;

namespace {

/// What manifest.json says of a stage, and its report of what came of it.
std::string stage_text(const io::JsonCursor& stage, const fs::path& folder) {
  std::string text = core::concat(stage.at("kind").as_string(), ", ",
                                  stage.at("done").as_bool() ? "done" : "not done");
  const fs::path report = folder / "report.json";
  if (!core::path_exists(report)) return text;
  const auto value = io::read_json_file(report);
  const io::JsonCursor cursor(value, report.string());
  if (!cursor.has("after")) return text;
  for (const auto* what : {"perplexity", "kl_to_teacher", "top1_agreement"}) {
    if (!cursor.at("after").has(what)) continue;
    text += core::concat(", ", what, " ", cursor.at("after").at(what).as_double());
  }
  return text;
}

void describe_stages(const fs::path& folder, Inspection& inspection) {
  const fs::path manifest = folder / "manifest.json";
  if (!core::path_exists(manifest)) return;
  const auto value = io::read_json_file(manifest);
  const io::JsonCursor root(value, manifest.string());
  const io::JsonCursor stages = root.at("stages");
  for (std::size_t i = 0; i < stages.size(); ++i) {
    const io::JsonCursor stage = stages.at(i);
    const std::string& name = stage.at("name").as_string();
    inspection.facts.emplace_back("stage " + core::printable(name),
                                  stage_text(stage, folder / "stages" / name));
  }
  if (root.has("final")) {
    inspection.facts.emplace_back(
        "final", core::concat("of stage ", root.at("final").at("stage").as_string()));
  }
}

/// Each stage's folder as what it is.
void check_stages(const InspectOptions& options, Inspection& inspection) {
  collect_problem(inspection, [&] {
    recipe::read_any_recipe_file(options.path / "recipe.yaml", {}, recipe::builtin_registries());
  });
  if (!core::path_exists(options.path / "stages")) return;
  for (const fs::path& folder : core::list_folder(options.path / "stages")) {
    for (const char* result : {"", "final", "cache", "data.jsonl"}) {
      const fs::path path = *result == '\0' ? folder : folder / result;
      const bool is_run = *result != '\0' || core::path_exists(folder / "recipe.yaml");
      if (!is_run || !core::path_exists(path)) continue;
      collect_problem(inspection, [&] {
        InspectOptions inner = options;
        inner.path = path;
        const auto found = inspect(inner).problems;
        inspection.problems.insert(inspection.problems.end(), found.begin(), found.end());
      });
      if (*result == '\0') break;  // which looks at final/ itself
    }
  }
}

}  // namespace

bool is_pipeline_folder(const fs::path& path) {
  return core::path_exists(path / "recipe.yaml") && core::path_exists(path / "stages") &&
         !core::path_exists(path / "metrics.jsonl");
}

Inspection inspect_pipeline_folder(const InspectOptions& options) {
  Inspection inspection;
  inspection.kind = "pipeline folder";
  const fs::path stopped = options.path / "stopped.json";
  const bool was_stopped = core::path_exists(stopped);
  const bool finished = !was_stopped && core::path_exists(options.path / "report.json");
  inspection.facts.emplace_back("state", finished ? "finished" : "unfinished");
  if (was_stopped) collect_problem(inspection, [&] { describe_stop(stopped, inspection); });
  collect_problem(inspection, [&] { describe_stages(options.path, inspection); });
  if (options.check) check_stages(options, inspection);
  return inspection;
}

}  // namespace distill::commands

#include <distill/core/paths.h>
#include <distill/core/strings.h>
#include <distill/io/checkpoint.h>
#include <distill/io/json_value.h>
#include <distill/io/jsonl.h>
#include <distill/pipeline/report.h>
#include <distill/recipe/read.h>

#include "commands/inspect_kinds.h"

namespace distill::commands {

namespace fs = std::filesystem;

namespace {

void describe_report(const fs::path& path, Inspection& inspection) {
  const auto value = io::read_json_file(path);
  const io::JsonCursor report(value, path.string());
  for (const auto* when : {"before", "after"}) {
    if (!report.has(when)) continue;
    for (const auto* what :
         {"perplexity", "kl_to_teacher", "top_k_kl_to_teacher", "top1_agreement"}) {
      if (report.at(when).has(what)) {
        inspection.facts.emplace_back(core::concat(what, " ", when),
                                      core::concat(report.at(when).at(what).as_double()));
      }
    }
  }
  inspection.facts.emplace_back("tokens", core::with_thousands(report.at("tokens").as_int()));
  inspection.facts.emplace_back("seconds", core::concat(report.at("seconds").as_double()));
}

/// Folders of checkpoints below `root`, also those of runs that went back and the one they go back
/// to, relative to it.
std::vector<std::string> checkpoint_names(const fs::path& root) {
  std::vector<std::string> names;
  std::vector<fs::path> stores = {"checkpoints", "forgetting"};
  for (std::size_t i = 0; i < stores.size(); ++i) {
    if (!core::is_folder(root / stores[i])) continue;
    for (const auto& path : core::list_folder(root / stores[i])) {
      const std::string name = path.filename().string();
      if (name.starts_with("step_")) names.push_back((stores[i] / name).string());
      if (name.starts_with("reaction_")) stores.push_back(stores[i] / name);
    }
  }
  return names;
}

void list_checkpoints(const fs::path& run, bool check, Inspection& inspection) {
  const auto names = checkpoint_names(run);
  std::vector<std::string> shown;
  for (const auto& name : names) {
    constexpr std::string_view kUsual = "checkpoints/";
    shown.push_back(name.starts_with(kUsual) ? name.substr(kUsual.size()) : name);
  }
  inspection.facts.emplace_back("checkpoints", shown.empty() ? "none" : core::join(shown));
  if (!check) return;
  for (const auto& name : names) {
    collect_problem(inspection, [&] { io::CheckpointStore::verify(run / name); });
  }
}

/// The files that a resumed run reads, in the order it does.
void check_files(const fs::path& run, Inspection& inspection) {
  collect_problem(inspection, [&] {
    recipe::read_recipe_file(run / "recipe.yaml", {}, recipe::builtin_registries());
  });
  if (core::path_exists(run / "manifest.json")) {
    collect_problem(inspection, [&] { io::read_json_file(run / "manifest.json"); });
  }
  for (const auto* name : {"evaluation_before.json", "evaluation_after.json"}) {
    if (!core::path_exists(run / name)) continue;
    collect_problem(inspection, [&] { pipeline::read_evaluation(run / name); });
  }
  for (const auto* name : {"sets_before.json", "sets_after.json", "sets_teacher.json"}) {
    if (!core::path_exists(run / name)) continue;
    collect_problem(inspection, [&] { pipeline::check_set_results(run / name); });
  }
  if (core::path_exists(run / "forgetting.json")) {
    collect_problem(inspection, [&] { io::read_json_file(run / "forgetting.json"); });
  }
  if (core::path_exists(run / "metrics.jsonl")) {
    collect_problem(inspection, [&] {
      io::JsonlReader metrics(run / "metrics.jsonl");
      while (metrics.next()) {
      }
    });
  }
}

void check_final(const InspectOptions& options, Inspection& inspection) {
  InspectOptions final_model = options;
  final_model.path = options.path / "final";
  if (!core::path_exists(final_model.path)) return;
  const bool adapter = core::path_exists(final_model.path / "adapter_config.json");
  const auto inner =
      adapter ? inspect_adapter_folder(final_model) : inspect_model_folder(final_model);
  inspection.problems.insert(inspection.problems.end(), inner.problems.begin(),
                             inner.problems.end());
}

}  // namespace

void describe_stop(const fs::path& path, Inspection& inspection) {
  const auto value = io::read_json_file(path);
  const io::JsonCursor report(value, path.string());
  inspection.facts.emplace_back("stopped",
                                core::without_controls(report.at("stopped").as_string()));
}

Inspection inspect_run_folder(const InspectOptions& options) {
  Inspection inspection;
  inspection.kind = "run folder";
  const bool finished = core::path_exists(options.path / "report.json");
  const fs::path stopped = options.path / "stopped.json";
  inspection.facts.emplace_back("state", finished ? "finished" : "unfinished");
  if (!finished && core::path_exists(stopped)) {
    collect_problem(inspection, [&] { describe_stop(stopped, inspection); });
  }
  if (finished) {
    collect_problem(inspection, [&] { describe_report(options.path / "report.json", inspection); });
  }
  const fs::path checkpoints = options.path / "checkpoints";
  if (core::path_exists(checkpoints)) {
    collect_problem(inspection, [&] { list_checkpoints(options.path, options.check, inspection); });
  }
  if (options.check) {
    check_files(options.path, inspection);
    check_final(options, inspection);
  }
  return inspection;
}

}  // namespace distill::commands

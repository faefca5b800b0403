#include <algorithm>

#include <distill/core/strings.h>
#include <distill/io/checkpoint.h>
#include <distill/io/json_value.h>

#include "commands/inspect_kinds.h"

namespace distill::commands {

namespace fs = std::filesystem;

namespace {

void describe_report(const fs::path& path, Inspection& inspection) {
  const auto value = io::read_json_file(path);
  const io::JsonCursor report(value, path.string());
  for (const auto* when : {"before", "after"}) {
    if (!report.has(when)) continue;
    for (const auto* what : {"perplexity", "kl_to_teacher", "top1_agreement"}) {
      if (report.at(when).has(what)) {
        inspection.facts.emplace_back(core::concat(what, " ", when),
                                      core::concat(report.at(when).at(what).as_double()));
      }
    }
  }
  inspection.facts.emplace_back("tokens", core::with_thousands(report.at("tokens").as_int()));
  inspection.facts.emplace_back("seconds", core::concat(report.at("seconds").as_double()));
}

void list_checkpoints(const fs::path& root, bool check, Inspection& inspection) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(root)) {
    if (entry.path().filename().string().starts_with("step_"))
      names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  inspection.facts.emplace_back("checkpoints", names.empty() ? "none" : core::join(names));
  if (!check) return;
  for (const auto& name : names) {
    collect_problem(inspection, [&] { io::CheckpointStore::verify(root / name); });
  }
}

}  // namespace

Inspection inspect_run_folder(const InspectOptions& options) {
  Inspection inspection;
  inspection.kind = "run folder";
  const bool finished = fs::exists(options.path / "report.json");
  inspection.facts.emplace_back("state", finished ? "finished" : "unfinished");
  if (finished) {
    collect_problem(inspection, [&] { describe_report(options.path / "report.json", inspection); });
  }
  const fs::path checkpoints = options.path / "checkpoints";
  if (fs::exists(checkpoints)) {
    list_checkpoints(checkpoints, options.check, inspection);
  }
  if (options.check && fs::exists(options.path / "final")) {
    InspectOptions final_model = options;
    final_model.path = options.path / "final";
    const auto inner = inspect(final_model);
    inspection.problems.insert(inspection.problems.end(), inner.problems.begin(),
                               inner.problems.end());
  }
  return inspection;
}

}  // namespace distill::commands

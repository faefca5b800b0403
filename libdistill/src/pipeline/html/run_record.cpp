#include "pipeline/html/run_record.h"

#include <algorithm>
#include <utility>

#include <distill/core/error.h>
#include <distill/core/files.h>
#include <distill/core/paths.h>
#include <distill/core/strings.h>

#include "pipeline/html/look_up.h"

namespace distill::pipeline::html {

namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t kMostRecipeBytes = std::uint64_t{4} << 20;
constexpr std::size_t kMostStages = 50;

/// Runs `read`; where it throws, the page says so.
void collect(RunRecord& record, const auto& read) {
  try {
    read();
  } catch (const Error& error) {
    record.problems.emplace_back(error.what());
  }
}

io::JsonValue read_optional(RunRecord& record, const fs::path& path) {
  io::JsonValue value;
  collect(record, [&] {
    if (core::path_exists(path)) value = io::read_json_file(path);
  });
  return value;
}

/// The first line says only that it is a run's.
std::string without_marker(std::string text) {
  if (text.starts_with("#")) text.erase(0, std::min(text.find('\n'), text.size() - 1) + 1);
  return text;
}

/// The manifest's list of stages; none where it has no such list.
const io::JsonArray& listed_stages(const io::JsonValue& manifest) {
  static const io::JsonArray none;
  const io::JsonValue* stages = find(&manifest, {"stages"});
  return stages != nullptr && stages->is_array() ? std::get<io::JsonArray>(stages->storage())
                                                 : none;
}

/// In its order; what it does not list comes behind, by name.
std::size_t place_in(const io::JsonArray& list, const std::string& name) {
  const auto found = std::ranges::find_if(
      list, [&name](const io::JsonValue& stage) { return text_at(&stage, {"name"}) == name; });
  return static_cast<std::size_t>(found - list.begin());
}

/// Of a run that is done, or was stopped before it was. A report beside stopped.json is of what was
/// there before.
fs::path report_file(const fs::path& folder) {
  const fs::path stopped = folder / "stopped.json";
  return core::path_exists(stopped) ? stopped : folder / "report.json";
}

/// As the report of the whole has it: gates of a stage that was done may have been judged anew.
io::JsonValue stage_report(const RunRecord& record, const std::string& name) {
  const io::JsonValue* stages = find(&record.report, {"stages"});
  if (stages == nullptr || !stages->is_array()) return {};
  for (const auto& stage : std::get<io::JsonArray>(stages->storage())) {
    if (text_at(&stage, {"name"}) != name) continue;
    const io::JsonValue* report = find(&stage, {"report"});
    return report != nullptr ? *report : io::JsonValue();
  }
  return {};
}

/// Of its metrics what the page of the whole shows.
void add_curves(RunRecord& record, StagePage& stage, const fs::path& metrics) {
  if (!core::path_exists(metrics)) return;
  RunMetrics all = read_run_metrics(metrics);
  if (all.bad_lines > 0) {
    record.problems.push_back(
        core::concat("stages/", stage.name, "/metrics.jsonl: ", core::with_thousands(all.bad_lines),
                     " of ", core::with_thousands(all.lines), " lines could not be read"));
  }
  if (const Curve* loss = all.steps.find("loss")) stage.loss = *loss;
  stage.drops = std::move(all.drops);
  stage.max_drop = all.max_drop;
}

void read_stages(RunRecord& record) {
  const fs::path root = record.folder / "stages";
  if (!core::path_exists(root) || !core::is_folder(root)) return;
  const io::JsonArray& list = listed_stages(record.manifest);
  for (const auto& path : core::list_folder(root)) {
    const std::string name = path.filename().string();
    const bool set_aside = name.find(".old-") != std::string::npos;
    if (record.stages.size() == kMostStages || set_aside || !core::is_folder(path)) continue;
    const std::size_t place = place_in(list, name);
    // What an earlier recipe had, or is to be done anew, is no part of the run.
    if (!list.empty() && place == list.size()) continue;
    StagePage stage;
    stage.name = name;
    if (place < list.size()) stage.kind = text_at(&list[place], {"kind"});
    stage.report = stage_report(record, name);
    if (stage.report.is_null()) stage.report = read_optional(record, report_file(path));
    stage.has_page = core::path_exists(path / "report.html");
    collect(record, [&] { add_curves(record, stage, path / "metrics.jsonl"); });
    record.stages.push_back(std::move(stage));
  }
  std::ranges::stable_sort(record.stages, {},
                           [&list](const StagePage& stage) { return place_in(list, stage.name); });
}

}  // namespace

RunRecord read_run_record(const fs::path& folder, const std::string& report_json) {
  if (!core::is_folder(folder)) {
    fail<InputError>(core::shown(folder),
                     core::path_exists(folder) ? ": is a file" : ": no such folder",
                     "; give the folder of a run");
  }
  const fs::path report = report_file(folder);
  const bool has_report = !report_json.empty() || core::path_exists(report);
  const fs::path metrics = folder / "metrics.jsonl";
  if (!has_report && !core::path_exists(metrics) && !core::path_exists(folder / "stages")) {
    fail<InputError>(core::shown(folder),
                     ": holds neither report.json nor metrics.jsonl; give the folder of a run");
  }
  RunRecord record;
  record.folder = folder;
  if (report_json.empty()) {
    record.report = read_optional(record, report);
  } else {
    record.report = io::parse_json(report_json, "report.json");
  }
  record.manifest = read_optional(record, folder / "manifest.json");
  collect(record, [&] {
    if (!core::path_exists(folder / "recipe.yaml")) return;
    record.recipe = without_marker(core::read_file(folder / "recipe.yaml", kMostRecipeBytes));
  });
  collect(record, [&] {
    if (core::path_exists(metrics)) record.metrics = read_run_metrics(metrics);
  });
  collect(record, [&] { read_stages(record); });
  std::error_code ignored;
  const fs::path whole = fs::weakly_canonical(folder, ignored);
  record.is_stage = whole.parent_path().filename() == "stages";
  return record;
}

}  // namespace distill::pipeline::html

#include "pipeline/html/run_record.h"

#include <algorithm>

#include <distill/core/error.h>
#include <distill/core/files.h>
#include <distill/core/paths.h>

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

/// Where a manifest lists stages, in its order; others behind them, by name.
std::size_t place_in(const io::JsonValue& manifest, const std::string& name) {
  const io::JsonValue* stages = find(&manifest, {"stages"});
  if (stages == nullptr || !stages->is_array()) return 0;
  const auto& list = std::get<io::JsonArray>(stages->storage());
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (text_at(&list[i], {"name"}) == name) return i;
  }
  return list.size();
}

void read_stages(RunRecord& record) {
  const fs::path root = record.folder / "stages";
  if (!core::path_exists(root) || !core::is_folder(root)) return;
  for (const auto& path : core::list_folder(root)) {
    if (record.stages.size() == kMostStages || !core::is_folder(path)) continue;
    StagePage stage;
    stage.name = path.filename().string();
    stage.report = read_optional(record, path / "report.json");
    stage.has_page = core::path_exists(path / "report.html");
    record.stages.push_back(std::move(stage));
  }
  std::ranges::stable_sort(record.stages, {}, [&record](const StagePage& stage) {
    return place_in(record.manifest, stage.name);
  });
}

}  // namespace

RunRecord read_run_record(const fs::path& folder, const std::string& report_json) {
  const bool has_report = !report_json.empty() || core::path_exists(folder / "report.json");
  const fs::path metrics = folder / "metrics.jsonl";
  if (!has_report && !core::path_exists(metrics) && !core::path_exists(folder / "stages")) {
    fail<InputError>(core::shown(folder),
                     ": holds neither report.json nor metrics.jsonl; give the folder of a run");
  }
  RunRecord record;
  record.folder = folder;
  if (report_json.empty()) {
    record.report = read_optional(record, folder / "report.json");
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

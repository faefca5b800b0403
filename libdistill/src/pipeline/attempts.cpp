#include "pipeline/attempts.h"

#include <algorithm>
#include <map>

#include <distill/core/error.h>
#include <distill/core/files.h>
#include <distill/core/json_writer.h>
#include <distill/core/paths.h>
#include <distill/core/strings.h>
#include <distill/io/json_value.h>
#include <distill/recipe/read.h>

#include "pipeline/gates.h"

namespace distill::pipeline {

namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kFormatVersion = 1;

/// What belongs to the run, whatever attempt it is at.
bool stays(const fs::path& path) {
  const std::string name = path.filename().string();
  return name == ".lock" || name == "recipe.yaml" || name == "attempts.json" || name == "attempts";
}

struct Stored {
  bool moved = true;  ///< all files of attempts before the last lie in their folders
  std::vector<Retry> retries;
};

Stored read_stored(const fs::path& path) {
  Stored stored;
  if (!core::path_exists(path)) return stored;
  const io::JsonValue value = io::read_json_file(path);
  const io::JsonCursor root(value, path.string());
  root.at("format_version").int_in(kFormatVersion, kFormatVersion);
  const io::JsonCursor retries = root.at("retries");
  for (std::size_t i = 0; i < retries.size(); ++i) {
    const io::JsonCursor one = retries.at(i);
    Retry retry{one.at("gate").as_string(), one.double_or("value", 0), {}};
    const io::JsonCursor set = one.at("set");
    for (std::size_t s = 0; s < set.size(); ++s) retry.set.push_back(set.at(s).as_string());
    stored.retries.push_back(std::move(retry));
  }
  stored.moved = root.at("moved").as_bool();
  return stored;
}

/// The settings of the gate's next try; null: they are used up.
const recipe::RetrySettings* next_settings(const recipe::Recipe& recipe,
                                           const std::vector<Retry>& retries,
                                           const std::string& require) {
  const auto gate = std::ranges::find(recipe.gates, require, &recipe::Gate::require);
  const auto used = static_cast<std::size_t>(std::ranges::count(retries, require, &Retry::gate));
  if (gate == recipe.gates.end() || used >= gate->with.size()) return nullptr;
  return &gate->with[used];
}

}  // namespace

bool has_try_left(const fs::path& run, const recipe::Recipe& recipe, const GateResult& gate) {
  const Stored stored = read_stored(run / "attempts.json");
  return next_settings(recipe, stored.retries, gate.require) != nullptr;
}

std::optional<RunCosts> earlier_attempt_costs(const fs::path& run) {
  const std::size_t number = read_stored(run / "attempts.json").retries.size();
  if (number == 0) return std::nullopt;
  RunCosts all{.energy_joules = 0.0};
  for (std::size_t i = 1; i <= number; ++i) {
    const fs::path old = run / "attempts" / std::to_string(i);
    const fs::path stopped = old / "stopped.json";
    try {
      all += costs_of(read_report(core::path_exists(stopped) ? stopped : old / "report.json"));
    } catch (const Error&) {  // no reason to end a run
      all.energy_joules.reset();
    }
  }
  return all;
}

Attempts::Attempts(const RunFolder& folder, bool is_stage) : folder_(folder), is_stage_(is_stage) {
  Stored stored = read_stored(folder.attempts());
  retries_ = std::move(stored.retries);
  if (stored.moved) return;
  move_old_files();
  store(true);
}

std::vector<std::string> Attempts::settings() const {
  std::vector<std::string> all;
  for (std::size_t i = 0; i < retries_.size(); ++i) {
    // Of one gate the newest count.
    const auto newer =
        std::find_if(retries_.begin() + static_cast<std::ptrdiff_t>(i) + 1, retries_.end(),
                     [&](const Retry& other) { return other.gate == retries_[i].gate; });
    if (newer != retries_.end()) continue;
    all.insert(all.end(), retries_[i].set.begin(), retries_[i].set.end());
  }
  return all;
}

recipe::Recipe Attempts::apply(const recipe::Recipe& recipe) const {
  return retries_.empty() ? recipe : recipe::changed_recipe(recipe, settings());
}

void Attempts::begin_next(const recipe::Recipe& recipe, const GateResult& failed,
                          const Report& report, core::Logger& log) {
  const auto* next = next_settings(recipe, retries_, failed.require);
  if (next == nullptr) {
    throw RunStopped(stopped_by_gate(folder_, failed, number(), is_stage_), report);
  }
  retries_.push_back({failed.require, failed.value, next->set});
  log.warning(folder_.path().string(), ": ", gate_line(failed), "; beginning again, attempt ",
              number(), " with ", core::join(settings()));
  store(false);
  move_old_files();
  store(true);
}

void Attempts::store(bool moved) const {
  core::JsonWriter json(2);
  json.begin_object().member("format_version", kFormatVersion).member("moved", moved);
  json.key("retries").begin_array();
  for (const Retry& retry : retries_) {
    json.begin_object().member("gate", retry.gate).member("value", retry.value);
    json.key("set").begin_array();
    for (const auto& setting : retry.set) json.value(setting);
    json.end_array().end_object();
  }
  json.end_array().end_object();
  core::write_file_atomically(folder_.attempts(), json.text() + "\n");
}

/// As long as attempts.json does not say that they are moved, all files are of the attempt before.
void Attempts::move_old_files() const {
  const fs::path old = folder_.path() / "attempts" / std::to_string(retries_.size());
  std::error_code error;
  fs::create_directories(old, error);
  if (error) fail<IoError>(old.string(), ": could not make the folder: ", error.message());
  for (const fs::path& path : core::list_folder(folder_.path())) {
    if (!stays(path)) core::rename_durably(path, old / path.filename());
  }
}

std::string stopped_by_gate(const RunFolder& folder, const GateResult& failed, std::int64_t attempt,
                            bool is_stage) {
  // A gate may have come when all was done already.
  const bool was_done = core::path_exists(folder.final_model());
  return core::concat(
      folder.path().string(), ": ", gate_line(failed),
      attempt > 1 ? core::concat(" after ", attempt, " attempts") : std::string(), ", so final/ ",
      was_done ? "is not to be used, and stays as it is" : "is not written",
      is_stage ? "; change the recipe, or loosen the gate, and run the same command again"
               : "; change the recipe and add --restart, or loosen the gate and run the same "
                 "command again");
}

std::optional<GateResult> judge_finished(const recipe::Recipe& recipe, const RunFolder& folder,
                                         bool is_stage, Report& report, core::Logger& log) {
  report.gates = judge(recipe, report);
  for (const GateResult& gate : report.gates) {
    if (!gate.holds) log.warning(gate_line(gate));
  }
  const GateResult* failed = deciding_gate(report.gates);
  if (failed == nullptr) return std::nullopt;
  if (failed->on_failure == recipe::OnFailure::kRetry) return *failed;
  report.stopped = gate_line(*failed);
  throw RunStopped(stopped_by_gate(folder, *failed, report.attempt, is_stage), report);
}

}  // namespace distill::pipeline

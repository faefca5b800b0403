#include "pipeline/forgetting_monitor.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>
#include <system_error>

#include <distill/core/paths.h>
#include <distill/core/strings.h>
#include <distill/core/table.h>
#include <distill/recipe/forgetting.h>

namespace distill::pipeline {

namespace fs = std::filesystem;

namespace {

std::string percent(double drop) {
  return std::isfinite(drop) ? core::fixed(100 * drop, 1) + " %" : std::string("no number");
}

double drop_of(const eval::SetResult& now, const eval::SetResult& before) {
  const auto figure = eval::figures_of(now.kind).front();
  return eval::worsening(figure.worse, eval::estimates(before).front().value,
                         eval::estimates(now).front().value);
}

}  // namespace

ForgettingMonitor::ForgettingMonitor(const Parts& parts)
    : parts_(parts),
      options_(*parts.recipe.forgetting),
      sets_(recipe::monitored_sets(parts.recipe)),
      state_(read_forgetting(parts.folder.forgetting())),
      logged_(logged_forgetting(parts.folder.metrics())) {
  log_reactions();
}

void ForgettingMonitor::after_step(std::int64_t step, bool last) {
  if (step % options_.every != 0 && !last) return;
  // A run that goes on from a student that was kept has looked at it already.
  const ForgettingLook* known = state_.look_at(step);
  const ForgettingLook seen = known != nullptr ? *known : look(step);
  log_look(seen);
  if (!(seen.worst().second <= options_.max_drop)) react(seen);
}

/// The student is kept before it is written that it is good: what is written can be gone back to.
ForgettingLook ForgettingMonitor::look(std::int64_t step) {
  const SetResults* before = parts_.evaluations.sets_before();
  if (before == nullptr) {
    fail<Error>(parts_.folder.sets_before().string(),
                ": is gone, and `forgetting` compares with it; add --restart to begin again");
  }
  ForgettingLook seen{step, state_.num_reactions(), {}};
  for (const auto& [name, result] : parts_.evaluations.measure_student(sets_, step)) {
    seen.drops.emplace_back(name, drop_of(result, *find_set(*before, name)));
  }
  if (seen.worst().second <= options_.max_drop && parts_.remembering != nullptr) {
    parts_.trainer.save_aside(*parts_.remembering);
  }
  state_.looks.push_back(seen);
  save_state();
  return seen;
}

void ForgettingMonitor::react(const ForgettingLook& seen) {
  const auto& [set, drop] = seen.worst();
  const std::string what =
      core::concat("`", set, "` is worse by ", percent(drop), " than before training after step ",
                   seen.step, ", `forgetting.max_drop` allows ", percent(options_.max_drop));
  if (options_.react && state_.num_reactions() < options_.react->max_reactions) {
    const std::int64_t back_to = state_.good_step(options_.max_drop);
    state_.reactions.push_back({seen.step, back_to, set, drop});
    save_state();
    fail<WentBack>(what, "; going back to ",
                   back_to > 0 ? core::concat("step ", back_to) : "the beginning", " (reaction ",
                   state_.num_reactions(), " of ", options_.react->max_reactions, ")");
  }
  if (options_.on_failure == train::OnForgetting::kStop) {
    throw Forgotten(parts_.folder.path(),
                    core::concat(what, options_.react ? ", and no reaction is left" : "",
                                 "; nothing of it is saved as final (`forgetting.on_failure`)"));
  }
  parts_.log.warning(what);
}

void ForgettingMonitor::save_state() const {
  write_forgetting(parts_.folder.forgetting(), state_);
}

void ForgettingMonitor::log_look(const ForgettingLook& seen) {
  if (!logged_.looks.insert(seen.step).second) return;
  metrics::Values values = {{"step", seen.step}};
  for (const auto& [name, value] : seen.drops) values.emplace_back("drop " + name, value);
  values.emplace_back("max_drop", options_.max_drop);
  for (const auto& sink : parts_.sinks) sink->event("forgetting", values);
}

/// As of the step that the run went back to: later ones are not in metrics.jsonl any more.
void ForgettingMonitor::log_reactions() {
  std::int64_t number = 0;
  for (const auto& reaction : state_.reactions) {
    if (!logged_.reactions.insert(++number).second) continue;
    for (const auto& sink : parts_.sinks) {
      sink->event("reaction", {{"step", reaction.back_to},
                               {"number", number},
                               {"seen_at", reaction.step},
                               {"set", reaction.set},
                               {"drop", reaction.drop}});
    }
  }
}

ForgettingReport ForgettingMonitor::report() const {
  ForgettingReport report;
  report.max_drop = options_.max_drop;
  if (const ForgettingLook* last = state_.newest_look()) {
    report.drops = last->drops;
    report.within_limit = last->worst().second <= options_.max_drop;
  }
  report.reactions = state_.reactions;
  return report;
}

namespace {

/// Names that io::CheckpointStore and this file give; anything else is the user's.
bool is_ours(const std::string& name) {
  constexpr std::array<std::string_view, 4> kBegins = {"step_", "reaction_", ".tmp-", ".old-"};
  return std::ranges::any_of(kBegins, [&](auto begin) { return name.starts_with(begin); });
}

}  // namespace

fs::path checkpoint_folder(const RunFolder& folder, std::int64_t reactions) {
  const fs::path all = folder.checkpoints();
  if (reactions == 0) return all;
  const fs::path own = all / core::concat("reaction_", reactions);
  if (!core::is_folder(all)) return own;
  for (const auto& path : core::list_folder(all)) {
    std::error_code error;
    const std::string name = path.filename().string();
    if (name != own.filename() && is_ours(name)) fs::remove_all(path, error);
    if (error) fail<IoError>(path.string(), ": could not remove it: ", error.message());
  }
  return own;
}

}  // namespace distill::pipeline

#include <distill/pipeline/measures.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include <distill/core/strings.h>
#include <distill/eval/evaluation_set.h>
#include <distill/io/logit_cache.h>
#include <distill/recipe/cache.h>

namespace distill::pipeline {

namespace {

using eval::Worse;

/// A figure of an evaluation, and how it gets worse.
struct Figure {
  const char* name;
  std::optional<double> (*of)(const eval::Evaluation&);
  Worse worse;
};

using E = eval::Evaluation;

constexpr Figure kFigures[] = {
    {"perplexity", [](const E& e) { return std::optional(e.perplexity); }, Worse::kWhenHigher},
    {"teacher_perplexity", [](const E& e) { return e.teacher_perplexity; }, Worse::kNever},
    {"kl_to_teacher", [](const E& e) { return e.kl_to_teacher; }, Worse::kWhenHigher},
    {"top_k_kl_to_teacher", [](const E& e) { return e.top_k_kl_to_teacher; }, Worse::kWhenHigher},
    {"top1_agreement", [](const E& e) { return e.top1_agreement; }, Worse::kWhenLower},
};

bool crosses_tokenizers(const recipe::Recipe& recipe) {
  return std::ranges::any_of(recipe.loss.items(),
                             [](const auto& item) { return item.build()->across_tokenizers(); });
}

/// What a teacher allows to measure.
enum class Answer { kNothing, kTopIds, kTopIdsOfOtherTemperature, kAll };

Answer answer_of(const recipe::Recipe& recipe) {
  if (recipe.teacher.kind() == "none" || crosses_tokenizers(recipe)) return Answer::kNothing;
  if (recipe.teacher.kind() == "server") return Answer::kTopIds;
  const auto* cache = recipe::cache_teacher(recipe);
  if (cache == nullptr) return Answer::kAll;
  const io::LogitCacheSpec spec = io::read_logit_cache_info(cache->path).spec;
  if (spec.form == io::SignalForm::kHidden) return Answer::kAll;
  if (spec.form == io::SignalForm::kSampled) return Answer::kNothing;
  return spec.temperature == 1.0 ? Answer::kTopIds : Answer::kTopIdsOfOtherTemperature;
}

/// An evaluation that holds every figure there will be; their values mean nothing.
eval::Evaluation expected_evaluation(const recipe::Recipe& recipe) {
  const Answer answer = answer_of(recipe);
  eval::Evaluation e;
  if (answer == Answer::kAll) e.teacher_perplexity = e.kl_to_teacher = 1;
  if (answer == Answer::kTopIds) e.top_k_kl_to_teacher = 1;
  if (answer != Answer::kNothing) e.top1_agreement = 1;
  return e;
}

/// The sets there will be, with figures whose values mean nothing.
std::vector<SetReport> expected_sets(const recipe::Recipe& recipe) {
  std::vector<SetReport> sets;
  const bool own_tokens = crosses_tokenizers(recipe);
  for (const auto& options : recipe.evaluate.sets) {
    eval::SetSummary expected;
    expected.kind = eval::kind_of(options.source());
    for (const auto& figure : eval::figures_of(expected.kind)) {
      expected.figures.push_back({std::string(figure.name), 1, 1, 1});
    }
    SetReport set{.name = options.name};
    if (recipe.evaluate.at_start) set.before = expected;
    if (recipe.evaluate.at_end) set.after = expected;
    const bool compared = recipe.teacher.kind() == "local" &&
                          !(own_tokens && expected.kind == eval::SetKind::kPerplexity);
    if (compared && set.after) set.gap = expected;
    sets.push_back(std::move(set));
  }
  return sets;
}

/// The name of a figure's change for the worse.
std::string worsening_name(const std::string& name, Worse worse) {
  return name + (worse == Worse::kWhenHigher ? "_rise" : "_drop");
}

void add_text(const Report& report, std::map<std::string, double>& named) {
  if (!report.after) return;
  for (const Figure& figure : kFigures) {
    const auto after = figure.of(*report.after);
    if (!after) continue;
    named[figure.name] = *after;
    if (!report.before || figure.worse == Worse::kNever) continue;
    const auto before = figure.of(*report.before);
    if (!before) continue;
    named[worsening_name(figure.name, figure.worse)] =
        eval::worsening(figure.worse, *before, *after);
  }
}

void add_set(const SetReport& set, std::map<std::string, double>& named) {
  if (!set.after) return;
  for (const auto& figure : eval::figures_of(set.after->kind)) {
    const std::string name = core::concat(set.name, ".", figure.name);
    const double after = set.after->value(figure.name);
    named[name] = after;
    if (!set.before || figure.worse == Worse::kNever) continue;
    named[worsening_name(name, figure.worse)] =
        eval::worsening(figure.worse, set.before->value(figure.name), after);
  }
  constexpr const char* kShare = "stereotype_share";
  const bool is_bias =
      set.after->kind == eval::SetKind::kPairs || set.after->kind == eval::SetKind::kQuestions;
  if (set.gap && is_bias) named[set.name + ".bias_gap"] = set.gap->value(kShare);
  // Who names nobody has a score of 0, but no share of answers that do.
  if (set.gap && set.after->kind == eval::SetKind::kQuestions) {
    named[set.name + ".bias_score_gap"] = set.gap->value("bias_score");
  }
}

/// The worst over all choice sets; NaN when any of them is.
void add_worst_drop(const Report& report, std::map<std::string, double>& named) {
  std::optional<double> worst;
  for (const SetReport& set : report.sets) {
    if (!set.before || !set.after || set.after->kind != eval::SetKind::kChoice) continue;
    const double drop = named.at(set.name + ".accuracy_drop");
    if (!worst || std::isnan(drop) || drop > *worst) worst = drop;
  }
  if (worst) named["accuracy_drop"] = *worst;
}

}  // namespace

std::map<std::string, double> measures(const Report& report) {
  std::map<std::string, double> named;
  add_text(report, named);
  for (const SetReport& set : report.sets) add_set(set, named);
  add_worst_drop(report, named);
  return named;
}

std::vector<std::string> measured_names(const recipe::Recipe& recipe) {
  Report report;
  if (!recipe.data.eval.empty()) {
    const eval::Evaluation expected = expected_evaluation(recipe);
    if (recipe.evaluate.at_start) report.before = expected;
    if (recipe.evaluate.at_end) report.after = expected;
  }
  report.sets = expected_sets(recipe);
  std::vector<std::string> names;
  for (const auto& [name, value] : measures(report)) names.push_back(name);
  return names;
}

}  // namespace distill::pipeline

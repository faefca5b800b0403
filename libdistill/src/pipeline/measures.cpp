#include <distill/pipeline/measures.h>

#include <algorithm>
#include <optional>
#include <string_view>

#include <distill/core/strings.h>
#include <distill/io/logit_cache.h>
#include <distill/recipe/cache.h>

namespace distill::pipeline {

namespace {

/// A figure of an evaluation, and what its change for the worse is called.
struct Figure {
  const char* name;
  std::optional<double> (*of)(const eval::Evaluation&);
  const char* worse;  ///< `rise`, `drop`, or null: it does not depend on training
};

using E = eval::Evaluation;

constexpr Figure kFigures[] = {
    {"perplexity", [](const E& e) { return std::optional(e.perplexity); }, "rise"},
    {"teacher_perplexity", [](const E& e) { return e.teacher_perplexity; }, nullptr},
    {"kl_to_teacher", [](const E& e) { return e.kl_to_teacher; }, "rise"},
    {"top_k_kl_to_teacher", [](const E& e) { return e.top_k_kl_to_teacher; }, "rise"},
    {"top1_agreement", [](const E& e) { return e.top1_agreement; }, "drop"},
};

/// Without 0 / 0 where nothing has changed.
double relative(double change, double before) {
  return change == 0 ? 0 : change / before;
}

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

}  // namespace

std::map<std::string, double> measures(const Report& report) {
  std::map<std::string, double> named;
  if (!report.after) return named;
  for (const Figure& figure : kFigures) {
    const auto after = figure.of(*report.after);
    if (!after) continue;
    named[figure.name] = *after;
    const auto before = report.before ? figure.of(*report.before) : std::nullopt;
    if (!before || figure.worse == nullptr) continue;
    const double rise = relative(*after - *before, *before);
    const bool rises = std::string_view(figure.worse) == "rise";
    named[core::concat(figure.name, "_", figure.worse)] = rises ? rise : -rise;
  }
  return named;
}

std::vector<std::string> measured_names(const recipe::Recipe& recipe) {
  Report report;
  if (!recipe.data.eval.empty()) {
    const eval::Evaluation expected = expected_evaluation(recipe);
    if (recipe.evaluate.at_start) report.before = expected;
    if (recipe.evaluate.at_end) report.after = expected;
  }
  std::vector<std::string> names;
  for (const auto& [name, value] : measures(report)) names.push_back(name);
  return names;
}

}  // namespace distill::pipeline

#include <distill/recipe/forgetting.h>

#include <algorithm>
#include <cmath>

#include <distill/core/strings.h>

namespace distill::recipe {

namespace {

using core::concat;

/// A drop of these is a loss of what the student could do.
bool can_tell(const eval::NamedSetOptions& set) {
  return set.task != eval::SetTask::kBias;
}

bool has_teacher_term(const Recipe& recipe) {
  return recipe.teacher.kind() != "none" &&
         std::ranges::any_of(recipe.loss.items(),
                             [](const auto& item) { return item.build()->needs_teacher(); });
}

void check_sets(const Recipe& recipe, core::Problems& problems) {
  const auto& sets = recipe.evaluate.sets;
  std::vector<std::string> names;
  for (const auto& set : sets) names.push_back(set.name);
  const auto& wanted = recipe.forgetting->sets;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const auto found = std::ranges::find(sets, wanted[i], &eval::NamedSetOptions::name);
    const std::string field = concat("forgetting.sets.", i);
    if (found == sets.end()) {
      problems.add(field, concat("`", core::printable(wanted[i]), "` is no set of `evaluate.sets`",
                                 core::did_you_mean(wanted[i], names)));
    } else if (!can_tell(*found)) {
      problems.add(field, concat("`", wanted[i],
                                 "` is of the task bias, which has no better and worse; name sets "
                                 "of perplexity or choice"));
    }
  }
  if (wanted.empty() && std::ranges::none_of(sets, can_tell)) {
    problems.add("forgetting.sets", "needs a set of perplexity or choice in `evaluate.sets`");
  }
}

void check_reaction(const Recipe& recipe, const train::ForgettingReaction& reaction,
                    core::Problems& problems) {
  if (reaction.kl_weight_factor != 1.0 && !has_teacher_term(recipe)) {
    problems.add("forgetting.react.kl_weight_factor",
                 "has no effect: no term of `loss` compares with a teacher");
  }
  if (!reaction.replay.empty() && recipe.teacher.kind() == "cache") {
    problems.add("forgetting.react.replay",
                 "needs a teacher that can be asked; a cache holds answers about `data.train` "
                 "alone");
  }
}

/// Multiplies the field `weight` of a loss's options.
class ScaleWeight : public core::FieldVisitor {
 public:
  explicit ScaleWeight(double factor) : factor_(factor) {}
  void field(const core::Field& field, const core::ValueRef& value) override {
    auto* const* weight = std::get_if<double*>(&value);
    if (weight != nullptr && field.name == "weight") **weight *= factor_;
  }

 private:
  double factor_;
};

}  // namespace

data::DataOptions with_replay(const Recipe& recipe) {
  data::DataOptions data = recipe.data;
  if (recipe.forgetting && recipe.forgetting->react) {
    const auto& replay = recipe.forgetting->react->replay;
    data.train.insert(data.train.end(), replay.begin(), replay.end());
  }
  return data;
}

std::vector<std::string> monitored_sets(const Recipe& recipe) {
  if (!recipe.forgetting) return {};
  if (!recipe.forgetting->sets.empty()) return recipe.forgetting->sets;
  std::vector<std::string> names;
  for (const auto& set : recipe.evaluate.sets) {
    if (can_tell(set)) names.push_back(set.name);
  }
  return names;
}

void check_forgetting(const Recipe& recipe, core::Problems& problems) {
  if (!recipe.forgetting) return;
  check_sets(recipe, problems);
  if (!recipe.evaluate.at_start) {
    problems.add("forgetting",
                 "compares with the student before training; it needs "
                 "`evaluate.at_start`");
  }
  if (recipe.forgetting->react) check_reaction(recipe, *recipe.forgetting->react, problems);
}

Recipe after_reactions(const Recipe& recipe, std::int64_t reactions) {
  Recipe changed = recipe;
  if (!recipe.forgetting || !recipe.forgetting->react || reactions == 0) return changed;
  const double factor =
      std::pow(recipe.forgetting->react->kl_weight_factor, static_cast<double>(reactions));
  for (auto& item : changed.loss.items()) {
    if (!item.build()->needs_teacher()) continue;
    ScaleWeight scale(factor);
    const core::ValueRef value = item.make_value_ref();
    std::get<core::ComponentRef>(value).options().describe(scale);
  }
  return changed;
}

}  // namespace distill::recipe

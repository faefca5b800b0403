#include <distill/losses/weighted_sum.h>

#include <algorithm>
#include <map>

#include <ATen/TensorOperators.h>

#include <distill/core/error.h>

#include "losses/logit_terms.h"
#include "losses/parted.h"

namespace distill::losses {
namespace {

/// `x`, `x_2`, `x_3` for the first, second and third x.
class UniqueNames {
 public:
  std::string next(const std::string& name) {
    const int number = ++seen_[name];
    return number > 1 ? name + "_" + std::to_string(number) : name;
  }

 private:
  std::map<std::string, int> seen_;
};

class WeightedSum final : public Loss {
 public:
  explicit WeightedSum(std::vector<std::unique_ptr<Loss>> losses) : losses_(std::move(losses)) {
    for (const auto& loss : losses_) {
      if (const auto term = loss->logit_term()) {
        terms_.push_back(*term);
        term_names_.push_back(loss->name());
      }
    }
  }

  std::string name() const override {
    std::string joined;
    for (const auto& loss : losses_) {
      if (!joined.empty()) joined += " + ";
      joined += loss->name();
    }
    return joined;
  }

  bool needs_teacher() const override {
    return std::any_of(losses_.begin(), losses_.end(),
                       [](const auto& loss) { return loss->needs_teacher(); });
  }

  bool across_tokenizers() const override {
    return std::any_of(losses_.begin(), losses_.end(),
                       [](const auto& loss) { return loss->across_tokenizers(); });
  }

  void check(const LossContext& context) const override {
    for (const auto& loss : losses_) loss->check(context);
  }

  void prepare(const LossContext& context) override {
    LossContext own = context;
    for (const auto& loss : losses_) {
      loss->prepare(own);
      ++own.stream;
    }
  }

  LayerNeeds needs() const override {
    LayerNeeds all;
    for (const auto& loss : losses_) {
      const LayerNeeds needs = loss->needs();
      append(all.student, needs.student);
      append(all.teacher, needs.teacher);
    }
    return all;
  }

  std::vector<std::string> warnings(const types::TeacherSignal& teacher) const override {
    std::vector<std::string> all;
    if (const auto* parted = std::get_if<types::PartedSignal>(&teacher)) {
      return parted->parts.empty() ? all : warnings(parted->parts.front().signal);
    }
    for (const auto& loss : losses_) {
      for (auto& line : loss->warnings(teacher)) {
        if (std::find(all.begin(), all.end(), line) == all.end()) all.push_back(std::move(line));
      }
    }
    return all;
  }

  std::vector<LossParameter> parameters() const override {
    std::vector<LossParameter> all;
    UniqueNames names;
    for (const auto& loss : losses_) {
      const std::string name = names.next(loss->name());
      for (auto& parameter : loss->parameters()) {
        all.push_back({name + "." + parameter.name, parameter.tensor});
      }
    }
    return all;
  }

  types::LossValue operator()(const LossInput& input) const override {
    const auto* parted = std::get_if<types::PartedSignal>(&input.teacher);
    if (parted == nullptr) return of_one_teacher(input);
    return sum_over_parts(input, *parted,
                          [this](const LossInput& part) { return of_one_teacher(part); });
  }

 private:
  types::LossValue of_one_teacher(const LossInput& input) const {
    types::LossValue fused;
    if (!terms_.empty()) fused = evaluate_terms(input, terms_, term_names_, *workspace_);
    types::LossValue value{fused.sum, fused.count, {}};
    auto fused_part = fused.parts.begin();
    for (const auto& loss : losses_) {
      if (loss->logit_term()) {
        value.parts.push_back(*fused_part++);
      } else {
        add(value, (*loss)(input));
      }
    }
    UniqueNames names;
    for (auto& part : value.parts) part.name = names.next(part.name);
    return value;
  }

  static void add(types::LossValue& value, types::LossValue other) {
    value.sum = value.sum.defined() ? value.sum + other.sum : other.sum;
    value.count = std::max(value.count, other.count);
    for (auto& part : other.parts) value.parts.push_back(std::move(part));
  }

  static void append(types::LayerRequest& all, const types::LayerRequest& more) {
    all.hidden.insert(all.hidden.end(), more.hidden.begin(), more.hidden.end());
    all.attention.insert(all.attention.end(), more.attention.begin(), more.attention.end());
  }

  std::vector<std::unique_ptr<Loss>> losses_;
  std::vector<ops::LogitTerm> terms_;
  std::vector<std::string> term_names_;
  std::unique_ptr<ops::Workspace> workspace_ = std::make_unique<ops::Workspace>();
};

}  // namespace

std::unique_ptr<Loss> make_weighted_sum(std::vector<std::unique_ptr<Loss>> losses) {
  if (losses.empty()) {
    fail<ConfigError>("`loss` lists no kind, a run needs at least one, for example forward_kl");
  }
  return std::make_unique<WeightedSum>(std::move(losses));
}

}  // namespace distill::losses

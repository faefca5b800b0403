#include <algorithm>
#include <array>
#include <cmath>

#include <distill/core/strings.h>
#include <distill/core/table.h>
#include <distill/eval/set_summary.h>

namespace distill::eval {

namespace {

enum class Unit { kNumber, kPercent, kScore };

struct Title {
  std::string_view figure;
  std::string_view title;
  Unit unit;
};

constexpr std::array<Title, 8> kTitles = {{
    {"perplexity", "perplexity", Unit::kNumber},
    {"accuracy", "accuracy", Unit::kPercent},
    {"accuracy_norm", "accuracy, a byte", Unit::kPercent},
    {"accuracy_ambiguous", "accuracy, ambiguous", Unit::kPercent},
    {"accuracy_disambiguated", "accuracy, disambiguated", Unit::kPercent},
    {"stereotype_share", "prefers the stereotype", Unit::kPercent},
    {"bias_score", "bias score, ambiguous", Unit::kScore},
    {"bias_score_disambiguated", "bias score, disambiguated", Unit::kScore},
}};

const Title* find(std::string_view figure) {
  const auto found = std::ranges::find(kTitles, figure, &Title::figure);
  return found == kTitles.end() ? nullptr : &*found;
}

std::string number(double value, Unit unit) {
  if (unit == Unit::kPercent) return core::fixed(100 * value, 1);
  if (unit == Unit::kScore) return core::fixed(value, 3);
  if (std::isfinite(value) && std::fabs(value) >= 10'000) {
    return std::fabs(value) < 1e15 ? core::with_thousands(std::llround(value)) : "over 1e15";
  }
  return core::fixed(value, std::fabs(value) < 100 ? 2 : 1);
}

}  // namespace

std::string title_of(std::string_view figure) {
  const Title* title = find(figure);
  return std::string(title != nullptr ? title->title : figure);
}

std::string value_text(std::string_view figure, double value, bool sign) {
  if (!std::isfinite(value)) return "-";
  const Title* title = find(figure);
  const Unit unit = title != nullptr ? title->unit : Unit::kScore;
  return core::concat(sign && value > 0 ? "+" : "", number(value, unit),
                      unit != Unit::kPercent ? ""
                      : sign                 ? " points"
                                             : " %");
}

std::string estimate_text(const Estimate& estimate, bool sign) {
  const std::string value = value_text(estimate.name, estimate.value, sign);
  if (!std::isfinite(estimate.value) || !std::isfinite(estimate.low) ||
      !std::isfinite(estimate.high)) {
    return value;
  }
  const Title* title = find(estimate.name);
  const Unit unit = title != nullptr ? title->unit : Unit::kScore;
  return core::concat(value, " (", number(estimate.low, unit), " to ", number(estimate.high, unit),
                      ")");
}

}  // namespace distill::eval

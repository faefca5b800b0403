#include "pipeline/html/numbers.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include <distill/core/strings.h>
#include <distill/core/table.h>

namespace distill::pipeline::html {

namespace {

std::string printed(const char* format, double value) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), format, value);
  return text.data();
}

/// `1.5e-4`: without the zeros that printf gives an exponent.
std::string short_exponent(double value) {
  const auto exponent = static_cast<int>(std::floor(std::log10(std::fabs(value)) + 1e-9));
  return core::concat(printed("%.3g", value / std::pow(10.0, exponent)), 'e', exponent);
}

constexpr std::string_view kMinus = "\xe2\x88\x92";  // as wide as a plus

std::string with_sign(double value, const std::string& magnitude) {
  return core::concat(value < 0 ? kMinus : std::string_view("+"), magnitude);
}

struct Known {
  std::string_view name;
  std::string_view title;
  Unit unit;
  int better;
};
constexpr std::array<Known, 16> kKnown = {{
    {"perplexity", "Perplexity", Unit::kNumber, -1},
    {"kl_to_teacher", "KL to the teacher", Unit::kNumber, -1},
    {"top_k_kl_to_teacher", "KL to its top ids", Unit::kNumber, -1},
    {"top1_agreement", "Top-1 agreement", Unit::kShare, 1},
    {"accuracy", "Accuracy", Unit::kShare, 1},
    {"accuracy_norm", "Accuracy, a byte", Unit::kShare, 1},
    {"accuracy_ambiguous", "Accuracy, ambiguous", Unit::kShare, 1},
    {"accuracy_disambiguated", "Accuracy, disambiguated", Unit::kShare, 1},
    {"loss", "Loss", Unit::kNumber, -1},
    {"lr", "Learning rate", Unit::kNumber, 0},
    {"grad_norm", "Gradient norm", Unit::kNumber, 0},
    {"tokens_per_second", "Tokens per second", Unit::kNumber, 1},
    {"bias", "Bias", Unit::kNumber, 0},
    {"bias_score", "Bias score", Unit::kNumber, 0},
    {"bias_score_disambiguated", "Bias score, disambiguated", Unit::kNumber, 0},
    {"stereotype_share", "Share of stereotypes", Unit::kShare, 0},
}};

/// Whole words of a name, as `accuracy` in `answer_accuracy`.
bool has_word(std::string_view name, std::string_view word) {
  const std::size_t at = name.find(word);
  if (at == std::string_view::npos) return false;
  const std::size_t end = at + word.size();
  return (at == 0 || name[at - 1] == '_') && (end == name.size() || name[end] == '_');
}

}  // namespace

std::string number(double value, Unit unit) {
  if (!std::isfinite(value)) return "not finite";
  if (unit == Unit::kShare && std::fabs(value) < 1e6) return core::fixed(100 * value, 1) + " %";
  const double size = std::fabs(value);
  if (size >= 1e15) return printed("%.3g", value);
  const bool whole = value == std::round(value);
  if (size >= 10'000 || (size >= 1000 && whole)) return core::with_thousands(std::llround(value));
  if (size >= 1000) return core::fixed(value, 1);
  return printed("%.4g", value);
}

std::string axis_number(double value, Unit unit) {
  if (unit == Unit::kShare) return printed("%.4g", 100 * value) + " %";
  const double size = std::fabs(value);
  if (size >= 1e12) return printed("%.2g", value);
  if (size >= 1e9) return printed("%.4g", value / 1e9) + "G";
  if (size >= 1e6) return printed("%.4g", value / 1e6) + "M";
  if (size >= 1e4) return printed("%.4g", value / 1e3) + "k";
  constexpr std::size_t kRoom = 6;  // letters beside an axis
  const std::string plain = printed("%.4g", value);
  return size < 1e-3 && plain.size() > kRoom ? short_exponent(value) : plain;
}

Measure measure(std::string_view name) {
  const auto* found = std::ranges::find(kKnown, name, &Known::name);
  if (found != kKnown.end()) return {std::string(found->title), found->unit, found->better};
  Measure other;
  other.title = std::string(name);
  std::ranges::replace(other.title, '_', ' ');
  if (has_word(name, "accuracy") || has_word(name, "agreement")) {
    other.unit = Unit::kShare;
    other.better = 1;
  } else if (has_word(name, "share")) {
    other.unit = Unit::kShare;
  } else if (has_word(name, "perplexity") || has_word(name, "kl")) {
    other.better = -1;
  }
  return other;
}

std::string change_interval(double low, double high, Unit unit) {
  const auto text = [unit](double value) {
    const double size = std::fabs(value);
    return with_sign(value, unit == Unit::kShare ? core::fixed(100 * size, 1) : number(size));
  };
  return core::concat(text(low), " to ", text(high), unit == Unit::kShare ? " points" : "");
}

std::string change(double before, double after, Unit unit) {
  if (!std::isfinite(before) || !std::isfinite(after)) return "";
  const double difference = after - before;
  if (difference == 0) return "the same";
  if (unit == Unit::kShare) {
    return with_sign(difference, core::fixed(100 * std::fabs(difference), 1)) + " points";
  }
  if (!(before > 0)) return with_sign(difference, number(std::fabs(difference)));
  const double percent = 100 * difference / before;
  // A fall by nearly all of it would be rounded to all of it.
  if (percent <= -99.5 && after > 0) return core::concat("\xc3\xb7 ", number(before / after));
  if (percent >= 1000) return core::concat("\xc3\x97 ", number(after / before));
  const double size = std::fabs(percent);
  return with_sign(percent, core::fixed(size, size < 10 ? 1 : 0)) + " %";
}

}  // namespace distill::pipeline::html

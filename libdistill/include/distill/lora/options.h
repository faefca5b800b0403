#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <distill/core/describe.h>

namespace distill::lora {

/// Where A and B begin.
enum class Init {
  kKaiming,   ///< A uniform in +-1/sqrt(in), B zero: the model begins as its base
  kGaussian,  ///< A normal with deviation 1/rank, B zero
  kPissa,     ///< the largest singular directions of W, which keeps the rest (Meng et al. 2024)
};
constexpr std::array<std::string_view, 3> choice_names(Init) {
  return {"kaiming", "gaussian", "pissa"};
}

/// `all-linear`, a regular expression that must match a module's whole name, or a list of names and
/// endings of names.
using Targets = std::variant<std::string, std::vector<std::string>>;

/// Above it nothing but overflow is to be had.
inline constexpr double kMostAlpha = 1e9;

/// Another rank for some of the targets.
struct RankPattern {
  std::string modules;  ///< regular expression for the end of a module's name
  std::int64_t rank = 0;
  std::optional<double> alpha;  ///< absent: LoraOptions::alpha, or twice this rank
};

/// `student.lora`.
struct LoraOptions {
  std::int64_t rank = 16;
  std::optional<double> alpha;  ///< absent: twice the rank
  double dropout = 0.0;
  Targets targets = "all-linear";
  bool rslora = false;
  bool dora = false;
  Init init = Init::kKaiming;
  std::vector<RankPattern> rank_pattern;
  bool experts = false;  ///< `all-linear` and lists mean routed experts too
};

void describe(core::FieldVisitor& visit, RankPattern& pattern);
void describe(core::FieldVisitor& visit, LoraOptions& options);
void validate(const RankPattern& pattern, core::Problems& problems);
void validate(const LoraOptions& options, core::Problems& problems);

}  // namespace distill::lora

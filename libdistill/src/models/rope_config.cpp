#include "models/rope_config.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include <distill/core/error.h>
#include <distill/core/strings.h>

namespace distill::models {

namespace {

constexpr double kDefaultTheta = 10000.0;

/// A number of at least `low`; `fallback` when it is missing, an error when there is none.
double number(const io::JsonCursor& json, std::string_view name, double low,
              std::optional<double> fallback = {}) {
  if (!json.has(name) && fallback) return *fallback;
  const io::JsonCursor item = json.at(name);
  const double value = item.as_double();
  if (value < low) item.fail(core::concat("must be at least ", low, ", it is ", value));
  return value;
}

nn::RopeType read_type(const io::JsonCursor& json) {
  const std::string_view key = json.has("rope_type") ? "rope_type" : "type";
  const std::string name = json.string_or(key, "default");
  const auto names = choice_names(nn::RopeType{});
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) {
    fail<UnsupportedError>(json.at(key).where(), " is ", core::printable(name), ", supported are ",
                           core::join(std::vector<std::string>(names.begin(), names.end())));
  }
  return static_cast<nn::RopeType>(found - names.begin());
}

void refuse_partial(const io::JsonCursor& json) {
  if (json.double_or("partial_rotary_factor", 1.0) != 1.0) {
    fail<UnsupportedError>(json.at("partial_rotary_factor").where(), " is ",
                           json.double_or("partial_rotary_factor", 1.0),
                           ", only 1 (all of a head rotates) is supported");
  }
}

/// Positions in several dimensions, or settings for layers of several kinds.
void refuse_nested(const io::JsonCursor& json) {
  for (const auto& [name, value] : json.as_object().members()) {
    if (!value.is_object() && name != "mrope_section") continue;
    fail<UnsupportedError>(json.at(name).where(),
                           ": only one set of rotary settings, for all layers, is supported");
  }
}

/// How much sharper yarn makes the softmax for contexts `factor` times as long.
double yarn_mscale(double factor, double mscale) {
  return factor <= 1.0 ? 1.0 : 0.1 * mscale * std::log(factor) + 1.0;
}

void read_llama3(const io::JsonCursor& json, nn::RopeOptions& options) {
  options.low_freq_factor = number(json, "low_freq_factor", 0.0);
  options.high_freq_factor = number(json, "high_freq_factor", 0.0);
  if (options.high_freq_factor <= options.low_freq_factor) {
    json.at("high_freq_factor")
        .fail(core::concat("must be above low_freq_factor (", options.low_freq_factor, "), it is ",
                           options.high_freq_factor));
  }
}

void read_yarn(const io::JsonCursor& json, nn::RopeOptions& options) {
  constexpr double kSmallest = 1e-6;
  options.beta_fast = number(json, "beta_fast", kSmallest, options.beta_fast);
  options.beta_slow = number(json, "beta_slow", kSmallest, options.beta_slow);
  if (options.beta_fast <= options.beta_slow) {
    fail<FormatError>(json.where(), " must have beta_fast above beta_slow, they are ",
                      options.beta_fast, " and ", options.beta_slow);
  }
  options.truncate = json.bool_or("truncate", true);
  const double mscale = json.double_or("mscale", 0.0);
  const double all_dim = json.double_or("mscale_all_dim", 0.0);
  const double usual = mscale != 0.0 && all_dim != 0.0 ? yarn_mscale(options.factor, mscale) /
                                                             yarn_mscale(options.factor, all_dim)
                                                       : yarn_mscale(options.factor, 1.0);
  options.attention_factor = number(json, "attention_factor", kSmallest, usual);
}

/// `json` is the object inside `config` that speaks of stretching.
void read_scaling(const io::JsonCursor& config, const io::JsonCursor& json,
                  std::int64_t max_positions, nn::RopeOptions& options) {
  refuse_partial(json);
  refuse_nested(json);
  options.type = read_type(json);
  if (options.type == nn::RopeType::kDefault) return;
  const auto positions = static_cast<double>(max_positions);
  // Some configs have the old length beside the object; it goes before one inside.
  constexpr const char* kOriginal = "original_max_position_embeddings";
  const io::JsonCursor& holder = config.has(kOriginal) ? config : json;
  options.original_positions = options.type == nn::RopeType::kDynamic
                                   ? positions
                                   : number(holder, kOriginal, 1.0, positions);
  std::optional<double> usual_factor;
  if (options.type == nn::RopeType::kYarn && holder.has(kOriginal)) {
    usual_factor = positions / options.original_positions;
  }
  options.factor = number(json, "factor", 1.0, usual_factor);
  if (options.type == nn::RopeType::kLlama3) read_llama3(json, options);
  if (options.type == nn::RopeType::kYarn) {
    if (options.theta <= 1.0) json.fail("needs a rope_theta above 1");
    read_yarn(json, options);
  }
}

/// The object that holds the kind of stretching, when there is one.
std::optional<io::JsonCursor> scaling_of(const io::JsonCursor& config) {
  for (const char* name : {"rope_parameters", "rope_scaling"}) {
    if (config.has(name)) return config.at(name);
  }
  return std::nullopt;
}

}  // namespace

nn::RopeOptions read_rope(const io::JsonCursor& config, std::int64_t max_positions) {
  nn::RopeOptions options;
  refuse_partial(config);
  options.theta = number(config, "rope_theta", 1.0, kDefaultTheta);
  const auto scaling = scaling_of(config);
  if (scaling) {
    if (config.has("rope_parameters")) {
      options.theta = number(*scaling, "rope_theta", 1.0, options.theta);
    }
    read_scaling(config, *scaling, max_positions, options);
  }
  return options;
}

double stretched_softmax_scale(const io::JsonCursor& config, const nn::RopeOptions& rope) {
  if (rope.type == nn::RopeType::kDefault) return 1.0;
  const double all_dim = scaling_of(config)->double_or("mscale_all_dim", 0.0);
  if (all_dim == 0.0) return 1.0;
  const double mscale = yarn_mscale(rope.factor, all_dim);
  return mscale * mscale;
}

}  // namespace distill::models

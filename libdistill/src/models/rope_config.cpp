#include "models/rope_config.h"

#include <algorithm>
#include <optional>

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
    fail<UnsupportedError>(json.at(key).where(), " is ", core::printable(name),
                           ", supported are default, linear, llama3");
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

void read_scaling(const io::JsonCursor& json, std::int64_t max_positions,
                  nn::RopeOptions& options) {
  refuse_partial(json);
  options.type = read_type(json);
  if (options.type == nn::RopeType::kDefault) return;
  options.factor = number(json, "factor", 1.0);
  if (options.type == nn::RopeType::kLinear) return;
  options.low_freq_factor = number(json, "low_freq_factor", 0.0);
  options.high_freq_factor = number(json, "high_freq_factor", 0.0);
  if (options.high_freq_factor <= options.low_freq_factor) {
    json.at("high_freq_factor")
        .fail(core::concat("must be above low_freq_factor (", options.low_freq_factor, "), it is ",
                           options.high_freq_factor));
  }
  options.original_positions =
      number(json, "original_max_position_embeddings", 1.0, static_cast<double>(max_positions));
}

}  // namespace

nn::RopeOptions read_rope(const io::JsonCursor& config, std::int64_t max_positions) {
  nn::RopeOptions options;
  refuse_partial(config);
  options.theta = number(config, "rope_theta", 1.0, kDefaultTheta);
  if (config.has("rope_scaling")) {
    read_scaling(config.at("rope_scaling"), max_positions, options);
  }
  if (config.has("rope_parameters")) {
    const io::JsonCursor newer = config.at("rope_parameters");
    options.theta = number(newer, "rope_theta", 1.0, options.theta);
    read_scaling(newer, max_positions, options);
  }
  return options;
}

}  // namespace distill::models

#include "models/parameter_slot.h"

namespace distill::models {

std::string ParameterSlot::name_in_layer(std::int64_t other) const {
  const auto place = pattern.find("{}");
  if (place == std::string::npos) return pattern;
  return pattern.substr(0, place) + std::to_string(other) + pattern.substr(place + 2);
}

}  // namespace distill::models

#include "pipeline/html/look_up.h"

#include <cmath>

namespace distill::pipeline::html {

const io::JsonValue* find(const io::JsonValue* value, Path path) {
  for (const auto name : path) {
    if (value == nullptr || !value->is_object()) return nullptr;
    value = std::get<io::JsonObject>(value->storage()).find(name);
  }
  return value;
}

std::optional<double> number_at(const io::JsonValue* value, Path path) {
  const io::JsonValue* found = find(value, path);
  if (found == nullptr) return std::nullopt;
  if (const auto* whole = std::get_if<std::int64_t>(&found->storage())) {
    return static_cast<double>(*whole);
  }
  const auto* real = std::get_if<double>(&found->storage());
  if (real == nullptr || !std::isfinite(*real)) return std::nullopt;
  return *real;
}

std::string text_at(const io::JsonValue* value, Path path) {
  const io::JsonValue* found = find(value, path);
  if (found == nullptr || !found->is_string()) return "";
  return std::get<std::string>(found->storage());
}

const std::vector<std::pair<std::string, io::JsonValue>>& members_of(const io::JsonValue* value) {
  static const std::vector<std::pair<std::string, io::JsonValue>> none;
  if (value == nullptr || !value->is_object()) return none;
  return std::get<io::JsonObject>(value->storage()).members();
}

}  // namespace distill::pipeline::html

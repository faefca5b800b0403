#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include <distill/io/json_value.h>

namespace distill::pipeline::html {

/// What a page takes from JSON files that may lack anything: a member is there and of the kind, or
/// it is not. `value` may be null.
using Path = std::initializer_list<std::string_view>;

const io::JsonValue* find(const io::JsonValue* value, Path path);
/// A finite number.
std::optional<double> number_at(const io::JsonValue* value, Path path);
/// Empty when there is none.
std::string text_at(const io::JsonValue* value, Path path);
/// Members of an object, none of anything else.
const std::vector<std::pair<std::string, io::JsonValue>>& members_of(const io::JsonValue* value);

}  // namespace distill::pipeline::html

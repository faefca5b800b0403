#include <distill/core/error.h>
#include <distill/core/strings.h>
#include <distill/io/json_value.h>

namespace distill::io {

namespace {

/// Long paths keep their end, which is where the fault is.
std::string shown(const std::string& path) {
  constexpr std::size_t kLongest = 120;
  return path.size() <= kLongest ? path : "..." + path.substr(path.size() - kLongest);
}

}  // namespace

JsonCursor::JsonCursor(const JsonValue& value, std::string source)
    : JsonCursor(value, std::move(source), "") {}

JsonCursor::JsonCursor(const JsonValue& value, std::string source, std::string path)
    : value_(&value), source_(std::move(source)), path_(std::move(path)) {}

std::string JsonCursor::where() const {
  return path_.empty() ? core::concat(source_, ": the top level")
                       : core::concat(source_, ": `", shown(path_), "`");
}

void JsonCursor::fail(const std::string& what) const {
  distill::fail<FormatError>(where(), " ", what);
}

void JsonCursor::wrong_kind(const char* expected) const {
  const bool fraction = value_->is_number() && !value_->is_integer();
  fail(core::concat("must be ", expected, ", it is ",
                    fraction ? "a number with a fraction or an exponent" : value_->kind_name()));
}

bool JsonCursor::has(std::string_view name) const {
  const JsonValue* member = as_object().find(name);
  return member != nullptr && !member->is_null();
}

JsonCursor JsonCursor::at(std::string_view name) const {
  std::string path = path_.empty() ? "" : path_ + ".";
  path += core::printable(name, 80);
  const JsonValue* member = as_object().find(name);
  if (member == nullptr) {
    distill::fail<FormatError>(source_, ": `", shown(path), "` is missing");
  }
  return JsonCursor(*member, source_, std::move(path));
}

JsonCursor JsonCursor::at(std::size_t index) const {
  const JsonArray& items = as_array();
  if (index >= items.size()) {
    fail(core::concat("has ", items.size(), " items, expected at least ", index + 1));
  }
  return JsonCursor(items[index], source_, core::concat(path_, "[", index, "]"));
}

std::size_t JsonCursor::size() const {
  if (value_->is_array()) return as_array().size();
  if (value_->is_object()) return as_object().size();
  wrong_kind("an array or an object");
}

bool JsonCursor::as_bool() const {
  if (!value_->is_bool()) wrong_kind("a boolean");
  return std::get<bool>(value_->storage());
}

std::int64_t JsonCursor::as_int() const {
  if (!value_->is_integer()) wrong_kind("an integer");
  return std::get<std::int64_t>(value_->storage());
}

double JsonCursor::as_double() const {
  if (value_->is_integer()) return static_cast<double>(as_int());
  if (!value_->is_number()) wrong_kind("a number");
  return std::get<double>(value_->storage());
}

const std::string& JsonCursor::as_string() const {
  if (!value_->is_string()) wrong_kind("a string");
  return std::get<std::string>(value_->storage());
}

const JsonArray& JsonCursor::as_array() const {
  if (!value_->is_array()) wrong_kind("an array");
  return std::get<JsonArray>(value_->storage());
}

const JsonObject& JsonCursor::as_object() const {
  if (!value_->is_object()) wrong_kind("an object");
  return std::get<JsonObject>(value_->storage());
}

std::int64_t JsonCursor::int_in(std::int64_t low, std::int64_t high) const {
  const std::int64_t number = as_int();
  if (number < low || number > high) {
    fail(core::concat("must be an integer from ", low, " to ", high, ", it is ", number));
  }
  return number;
}

bool JsonCursor::bool_or(std::string_view name, bool fallback) const {
  return has(name) ? at(name).as_bool() : fallback;
}

std::int64_t JsonCursor::int_or(std::string_view name, std::int64_t fallback) const {
  return has(name) ? at(name).as_int() : fallback;
}

double JsonCursor::double_or(std::string_view name, double fallback) const {
  return has(name) ? at(name).as_double() : fallback;
}

std::string JsonCursor::string_or(std::string_view name, std::string fallback) const {
  return has(name) ? at(name).as_string() : std::move(fallback);
}

}  // namespace distill::io

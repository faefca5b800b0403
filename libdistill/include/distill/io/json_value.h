#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <distill/core/json_writer.h>

namespace distill::io {

class JsonValue;
using JsonArray = std::vector<JsonValue>;

/// Members in file order, found by name in constant time when there are many. Names are unique.
class JsonObject {
 public:
  const JsonValue* find(std::string_view name) const;
  const std::vector<std::pair<std::string, JsonValue>>& members() const { return members_; }
  std::size_t size() const;
  /// False (and nothing is added) when the name is taken.
  bool insert(std::string name, JsonValue value);

 private:
  std::vector<std::pair<std::string, JsonValue>> members_;
  struct Index;
  std::shared_ptr<Index> index_;
};

/// Limits on JSON from outside. Unless told otherwise those of a small file (a config, a report, a
/// state); formats with larger files name their own.
struct JsonLimits {
  std::uint64_t max_bytes = std::uint64_t{4} << 20;
  int max_depth = 64;
  /// A value takes 48 bytes in memory, but as little as two in the file.
  std::uint64_t max_values = 100'000;
  /// Integers beyond int64 are refused where something reads them, not where they stand.
  bool keeps_large_integers = false;
};

/// Strictly parsed JSON (RFC 8259): no duplicate names, no trailing commas, UTF-8 only, no numbers
/// that are not finite, bounded depth. Integers that fit int64 stay exact.
/// The typed getters throw FormatError naming the file and the dotted path, what was expected and
/// what is there: `config.json: `rope_scaling.factor` must be a number, it is a string`.
class JsonValue {
 public:
  using Storage = std::variant<std::nullptr_t, bool, std::int64_t, double, std::string, JsonArray,
                               JsonObject, core::JsonNumber>;

  JsonValue() = default;
  explicit JsonValue(Storage storage) : storage_(std::move(storage)) {}

  bool is_null() const { return std::holds_alternative<std::nullptr_t>(storage_); }
  bool is_bool() const { return std::holds_alternative<bool>(storage_); }
  bool is_integer() const { return std::holds_alternative<std::int64_t>(storage_); }
  bool is_number() const { return is_integer() || std::holds_alternative<double>(storage_); }
  bool is_string() const { return std::holds_alternative<std::string>(storage_); }
  bool is_array() const { return std::holds_alternative<JsonArray>(storage_); }
  bool is_object() const { return std::holds_alternative<JsonObject>(storage_); }
  const Storage& storage() const { return storage_; }
  /// `null`, `a boolean`, `an integer`, `a number`, `a string`, `an array`, `an object`, `an
  /// integer that does not fit 64 bits` (no getter gives it).
  const char* kind_name() const;

 private:
  Storage storage_ = nullptr;
};

/// Throws FormatError `SOURCE:LINE:COLUMN: ...`.
JsonValue parse_json(std::string_view text, const std::string& source,
                     const JsonLimits& limits = {});
/// Reads a regular file. Throws InputError when missing, FormatError when it is not JSON.
JsonValue read_json_file(const std::filesystem::path& path, const JsonLimits& limits = {});

/// A value together with where it stands (file and dotted path), for error messages. Cheap to copy;
/// the JsonValue must outlive it.
class JsonCursor {
 public:
  JsonCursor(const JsonValue& value, std::string source);

  const JsonValue& value() const { return *value_; }
  /// `config.json: `rope_scaling.factor``
  std::string where() const;
  const std::string& source() const { return source_; }

  bool has(std::string_view name) const;       ///< a member that is there and not null
  JsonCursor at(std::string_view name) const;  ///< throws FormatError when missing
  JsonCursor at(std::size_t index) const;
  std::size_t size() const;  ///< of an array or object; throws otherwise

  bool as_bool() const;
  std::int64_t as_int() const;  ///< exactly an integer; 3.0 is refused
  double as_double() const;     ///< any finite number
  const std::string& as_string() const;
  const JsonArray& as_array() const;
  const JsonObject& as_object() const;

  /// An integer in [low, high]; the message names the range.
  std::int64_t int_in(std::int64_t low, std::int64_t high) const;

  /// Members by name with a default when missing or null.
  bool bool_or(std::string_view name, bool fallback) const;
  std::int64_t int_or(std::string_view name, std::int64_t fallback) const;
  double double_or(std::string_view name, double fallback) const;
  std::string string_or(std::string_view name, std::string fallback) const;

  /// Throws FormatError `FILE: `path` ...what`.
  [[noreturn]] void fail(const std::string& what) const;

 private:
  JsonCursor(const JsonValue& value, std::string source, std::string path);
  [[noreturn]] void wrong_kind(const char* expected) const;

  const JsonValue* value_;
  std::string source_;
  std::string path_;
};

}  // namespace distill::io

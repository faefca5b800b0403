#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace distill::core {

/// An integer that does not fit an int64, as it was written.
struct JsonNumber {
  std::string text;
};

/// Writes JSON text piece by piece. Numbers keep all their digits; a number that is not finite
/// becomes null; strings that are not UTF-8 have the wrong bytes replaced by U+FFFD.
///
///     JsonWriter json;
///     json.begin_object().key("step").value(3).key("loss").value(1.25).end_object();
///     json.text();   // {"step":3,"loss":1.25}
class JsonWriter {
 public:
  /// `indent` = 0 writes everything on one line.
  explicit JsonWriter(int indent = 0) : indent_(indent) {}

  JsonWriter& begin_object();
  JsonWriter& end_object();
  JsonWriter& begin_array();
  JsonWriter& end_array();
  JsonWriter& key(std::string_view name);
  JsonWriter& value(std::string_view text);
  JsonWriter& value(const char* text) { return value(std::string_view(text)); }
  JsonWriter& value(const std::string& text) { return value(std::string_view(text)); }
  JsonWriter& value(bool flag);
  JsonWriter& value(std::int64_t number);
  JsonWriter& value(std::uint64_t number);
  JsonWriter& value(int number) { return value(static_cast<std::int64_t>(number)); }
  JsonWriter& value(double number);
  JsonWriter& value(const JsonNumber& number) { return raw(number.text); }
  JsonWriter& null();
  /// Text that is JSON already.
  JsonWriter& raw(std::string_view json);

  template <class T>
  JsonWriter& member(std::string_view name, const T& v) {
    return key(name).value(v);
  }

  const std::string& text() const { return text_; }

 private:
  void separate();
  void close(char bracket);
  void newline();

  std::string text_;
  std::vector<bool> has_items_;
  bool after_key_ = false;
  int indent_;
};

}  // namespace distill::core

#include <distill/io/json_value.h>

#include <algorithm>
#include <array>
#include <iterator>

#include <nlohmann/json.hpp>

#include <distill/core/error.h>
#include <distill/core/files.h>
#include <distill/core/strings.h>

#include "io/json_parse.h"

namespace distill::io {

namespace {

using core::printable;

/// The text being read, and how far the reader has come.
struct Input {
  std::string_view text;
  const std::string& source;
  std::int64_t first_line = 1;
  std::size_t consumed = 0;
};

/// Throws with the line and column (in bytes, both from 1) of the byte at `offset`.
[[noreturn]] void fail_at(const Input& input, std::size_t offset, const std::string& what) {
  const std::string_view before = input.text.substr(0, std::min(offset, input.text.size()));
  const auto line = std::count(before.begin(), before.end(), '\n') + input.first_line;
  const std::size_t line_begin = before.rfind('\n') + 1;  // npos + 1 is 0
  fail<FormatError>(input.source, ":", line, ":", before.size() - line_begin + 1, ": ", what);
}

/// Counts what the lexer has read, since the handlers below are not told where they are.
class CountingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  CountingIterator(const char* position, Input& input) : position_(position), input_(&input) {}
  reference operator*() const { return *position_; }
  CountingIterator& operator++() {
    ++position_;
    ++input_->consumed;
    return *this;
  }
  CountingIterator operator++(int) {
    const CountingIterator before = *this;
    ++*this;
    return before;
  }
  bool operator==(const CountingIterator& other) const { return position_ == other.position_; }
  bool operator!=(const CountingIterator& other) const { return position_ != other.position_; }

 private:
  const char* position_;
  Input* input_;
};

/// The parser's message without its prefix and without the token it quotes, which may be long.
std::string syntax_message(std::string_view message) {
  const std::size_t column = message.find("column ");
  if (column != std::string_view::npos) {
    const std::size_t colon = message.find(": ", column);
    if (colon != std::string_view::npos) message.remove_prefix(colon + 2);
  }
  const std::size_t quoted = message.find("; last read: ");
  std::string text(message.substr(0, quoted));
  const std::size_t expected = message.rfind("; expected ");
  if (quoted != std::string_view::npos && expected != std::string_view::npos && expected > quoted) {
    text += message.substr(expected);
  }
  return printable(text, 160);
}

/// Builds a JsonValue from the parser's events with a stack of our own.
class Builder {
 public:
  Builder(Input& input, const JsonLimits& limits) : input_(input), limits_(limits) {}

  JsonValue take() { return std::move(root_); }

  bool null() { return add(JsonValue()); }
  bool boolean(bool flag) { return add(JsonValue(JsonValue::Storage(flag))); }
  bool number_integer(std::int64_t number) { return add(JsonValue(JsonValue::Storage(number))); }
  bool number_unsigned(std::uint64_t number) {
    if (!std::in_range<std::int64_t>(number)) return large_integer(std::to_string(number));
    return number_integer(static_cast<std::int64_t>(number));
  }
  bool number_float(double number, const std::string& text) {
    // The lexer turns integers that do not fit into floats.
    if (text.find_first_of(".eE") == std::string::npos) return large_integer(text);
    return add(JsonValue(JsonValue::Storage(number)));
  }
  bool string(std::string& text) { return add(JsonValue(JsonValue::Storage(std::move(text)))); }
  bool binary(std::vector<std::uint8_t>& /*bytes*/) { return false; }  // JSON text has none

  bool start_object(std::size_t /*size*/) { return open(true); }
  bool start_array(std::size_t /*size*/) { return open(false); }
  bool key(std::string& name) {
    Frame& frame = stack_.back();
    if (frame.object.find(name) != nullptr) {
      fail_at(input_, input_.consumed - 1,
              "name `" + printable(name) + "` appears twice in one object");
    }
    frame.key = std::move(name);
    return true;
  }
  bool end_object() {
    JsonValue done(JsonValue::Storage(std::move(stack_.back().object)));
    stack_.pop_back();
    return attach(std::move(done));
  }
  bool end_array() {
    JsonValue done(JsonValue::Storage(std::move(stack_.back().array)));
    stack_.pop_back();
    return attach(std::move(done));
  }
  bool parse_error(std::size_t position, const std::string& token,
                   const nlohmann::detail::exception& error) {
    constexpr int kNumberOverflow = 406;
    if (error.id == kNumberOverflow) fail_number(token, "is too large for a float64");
    fail_at(input_, position > 0 ? position - 1 : 0, syntax_message(error.what()));
  }

 private:
  struct Frame {
    bool is_object = false;
    JsonArray array;
    JsonObject object;
    std::string key;
  };

  /// `token` is what was read last.
  [[noreturn]] void fail_number(const std::string& token, const char* what) {
    const std::size_t begin = input_.text.rfind(token, input_.consumed);
    fail_at(input_, begin, core::concat("number `", printable(token, 40), "` ", what));
  }

  bool large_integer(const std::string& token) {
    if (limits_.keeps_large_integers) {
      return add(JsonValue(JsonValue::Storage(core::JsonNumber{token})));
    }
    fail_number(token, "does not fit 64 bits, expected an integer from -2^63 to 2^63-1");
  }

  void count_value() {
    if (++num_values_ > limits_.max_values) {
      fail_at(input_, input_.consumed,
              core::concat("more than ", limits_.max_values,
                           " values, which is the limit for this file"));
    }
  }

  bool open(bool is_object) {
    count_value();
    if (stack_.size() >= static_cast<std::size_t>(std::max(limits_.max_depth, 0))) {
      fail_at(
          input_, input_.consumed - 1,
          core::concat("nested deeper than ", limits_.max_depth, " levels, which is the limit"));
    }
    stack_.emplace_back().is_object = is_object;
    return true;
  }

  bool add(JsonValue&& value) {
    count_value();
    return attach(std::move(value));
  }

  bool attach(JsonValue&& value) {
    if (stack_.empty()) {
      root_ = std::move(value);
    } else if (Frame& frame = stack_.back(); frame.is_object) {
      frame.object.insert(std::move(frame.key), std::move(value));
    } else {
      frame.array.push_back(std::move(value));
    }
    return true;
  }

  Input& input_;
  const JsonLimits& limits_;
  std::vector<Frame> stack_;
  JsonValue root_;
  std::uint64_t num_values_ = 0;
};

/// What the lexer would let pass: it ends at a NUL and skips a byte order mark.
void refuse_what_the_lexer_accepts(const Input& input) {
  if (const std::size_t nul = input.text.find('\0'); nul != std::string_view::npos) {
    fail_at(input, nul, "a NUL byte, which JSON text does not have");
  }
  if (input.text.starts_with("\xef\xbb\xbf")) {
    fail_at(input, 0, "a byte order mark; save the file as plain UTF-8");
  }
}

}  // namespace

const char* JsonValue::kind_name() const {
  static constexpr std::array<const char*, std::variant_size_v<Storage>> kNames = {
      "null",     "a boolean", "an integer", "a number",
      "a string", "an array",  "an object",  "an integer that does not fit 64 bits"};
  return kNames[storage_.index()];
}

JsonValue detail::parse_json_from_line(std::string_view text, const std::string& source,
                                       std::int64_t first_line, const JsonLimits& limits) {
  Input input{text, source, first_line};
  if (text.size() > limits.max_bytes) {
    fail_at(input, 0,
            core::concat(text.size(), " bytes of JSON, expected at most ", limits.max_bytes));
  }
  refuse_what_the_lexer_accepts(input);
  Builder builder(input, limits);
  const CountingIterator begin(text.data(), input);
  const CountingIterator end(text.data() + text.size(), input);
  nlohmann::json::sax_parse(begin, end, &builder);
  return builder.take();
}

JsonValue parse_json(std::string_view text, const std::string& source, const JsonLimits& limits) {
  return detail::parse_json_from_line(text, source, 1, limits);
}

JsonValue read_json_file(const std::filesystem::path& path, const JsonLimits& limits) {
  const core::MappedFile file = core::MappedFile::open(path);
  return parse_json(file.text(), path.string(), limits);
}

}  // namespace distill::io

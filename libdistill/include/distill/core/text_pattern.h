#pragma once

#include <memory>
#include <optional>
#include <string>

namespace distill::core {

/// A regular expression for names of modules, or for parts of a text, as Python's `re` has them
/// (PCRE2). Work is bounded: one that backtracks for too long is refused.
class TextPattern {
 public:
  enum class Part {
    kWhole,  ///< the whole name
    kEnd,    ///< the whole name or its end after a dot
    kInside  ///< any part of a text
  };
  /// `where` begins error messages. Throws ConfigError for what is no regular expression.
  TextPattern(const std::string& pattern, Part part, std::string where);
  ~TextPattern();
  TextPattern(TextPattern&&) noexcept;
  TextPattern& operator=(TextPattern&&) noexcept;

  /// Throws ConfigError where the work is too much.
  bool matches(const std::string& text) const;
  /// Nothing where the work is too much for this text.
  std::optional<bool> matches_in_time(const std::string& text) const;

 private:
  struct Compiled;
  std::unique_ptr<Compiled> compiled_;
};

}  // namespace distill::core

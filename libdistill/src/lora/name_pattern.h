#pragma once

#include <memory>
#include <string>

namespace distill::lora {

/// A regular expression for names of modules, as Python's `re` has them (PCRE2). Work is bounded:
/// one that backtracks for too long is refused.
class NamePattern {
 public:
  enum class Part {
    kWhole,  ///< the whole name
    kEnd     ///< the whole name or its end after a dot
  };
  /// `where` begins error messages. Throws ConfigError for what is no regular expression.
  NamePattern(const std::string& pattern, Part part, std::string where);
  ~NamePattern();
  NamePattern(NamePattern&&) noexcept;
  NamePattern& operator=(NamePattern&&) noexcept;

  bool matches(const std::string& name) const;

 private:
  struct Compiled;
  std::unique_ptr<Compiled> compiled_;
};

}  // namespace distill::lora

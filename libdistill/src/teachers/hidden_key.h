#pragma once

#include <string>
#include <utility>

namespace distill::teachers::detail {

/// A key that is never shown, also where a server repeats it.
class HiddenKey {
 public:
  /// Empty: there is none.
  explicit HiddenKey(std::string key) : key_(std::move(key)) {}

  /// The text with `[key]` in its place, whether it is spelt plainly or with the escapes of JSON.
  std::string hide(std::string text) const;
  /// Long enough that it stands in no text by chance: whole answers are read without it.
  bool is_telling() const;

 private:
  std::string key_;
};

}  // namespace distill::teachers::detail

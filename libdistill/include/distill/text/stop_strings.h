#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace distill::text {

/// Ends a streamed text before the first of some strings. Text that may turn out to be the
/// beginning of one is kept back until it is known.
class StopStrings {
 public:
  /// Throws InputError when one is empty.
  explicit StopStrings(std::vector<std::string> strings);

  /// What of the text so far may be shown now. Nothing more once `found`.
  std::string push(std::string_view piece);
  /// What was kept back, at the end of a text that ended by itself.
  std::string finish();
  /// One of the strings has come.
  bool found() const { return found_; }

 private:
  std::vector<std::string> strings_;
  std::string pending_;
  bool found_ = false;
};

}  // namespace distill::text

#include <distill/text/stop_strings.h>

#include <algorithm>
#include <utility>

#include <distill/core/error.h>

namespace distill::text {

namespace {

/// Length of the longest end of `text` that begins `wanted`, without being all of it.
std::size_t begun(std::string_view text, std::string_view wanted) {
  for (std::size_t n = std::min(text.size(), wanted.size() - 1); n > 0; --n) {
    if (text.substr(text.size() - n) == wanted.substr(0, n)) return n;
  }
  return 0;
}

}  // namespace

StopStrings::StopStrings(std::vector<std::string> strings) : strings_(std::move(strings)) {
  for (const auto& string : strings_) {
    if (string.empty()) fail<InputError>("a stop string is empty; leave it out");
  }
}

std::string StopStrings::push(std::string_view piece) {
  if (found_) return {};
  pending_ += piece;
  std::size_t first = std::string::npos, kept_back = 0;
  for (const auto& string : strings_) {
    first = std::min(first, pending_.find(string));
    kept_back = std::max(kept_back, begun(pending_, string));
  }
  found_ = first != std::string::npos;
  std::string shown = pending_.substr(0, found_ ? first : pending_.size() - kept_back);
  pending_.erase(0, found_ ? std::string::npos : shown.size());
  return shown;
}

std::string StopStrings::finish() {
  return std::exchange(pending_, {});
}

}  // namespace distill::text

#include "dist/reason.h"

#include <distill/core/strings.h>

namespace distill::dist::detail {

std::string reason_of(const std::exception& error) {
  std::string text = error.what();
  text = text.substr(0, text.find('\n'));
  const auto end_of_place = text.find("] ");
  if (text.starts_with('[') && end_of_place != std::string::npos) {
    text = text.substr(end_of_place + 2);
  }
  return core::printable(text, 80);
}

}  // namespace distill::dist::detail

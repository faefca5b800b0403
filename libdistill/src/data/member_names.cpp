#include "data/member_names.h"

#include <vector>

#include <distill/core/strings.h>

namespace distill::data {

std::string member_names(const io::JsonObject& object) {
  constexpr std::size_t kShown = 5;
  std::vector<std::string> names;
  for (const auto& [name, value] : object.members()) {
    if (names.size() == kShown) {
      names.emplace_back("...");
      break;
    }
    names.push_back(
        core::concat("`", core::printable(name, 20), value.is_null() ? "` (null)" : "`"));
  }
  return names.empty() ? "no members" : core::join(names);
}

}  // namespace distill::data

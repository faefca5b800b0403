#include "commands/ids_file.h"

#include <charconv>

#include <distill/core/error.h>

namespace distill::commands {

text::TokenIds parse_ids(std::string_view line, const std::string& source) {
  text::TokenIds ids;
  while (true) {
    const auto begin = line.find_first_not_of(" \t\r");
    if (begin == std::string_view::npos) return ids;
    line.remove_prefix(begin);
    const auto word = line.substr(0, line.find_first_of(" \t\r"));
    std::int64_t id = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), id);
    if (error != std::errc() || end != word.data() + word.size() || id < 0) {
      fail<InputError>(source, ": `", core::printable(word),
                       "` is not an id, expected numbers separated by spaces");
    }
    ids.push_back(id);
    line.remove_prefix(word.size());
  }
}

}  // namespace distill::commands

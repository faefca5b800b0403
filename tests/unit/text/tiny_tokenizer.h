#pragma once

#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include <distill/core/files.h>
#include <distill/io/json_value.h>
#include <distill/text/tokenizer.h>

#include "support/temp_folder.h"

namespace distill::testing {

inline std::string replaced(std::string text, std::string_view from, std::string_view to) {
  const std::size_t at = text.find(from);
  if (at == std::string::npos) throw std::runtime_error("not in the text: " + std::string(from));
  return text.replace(at, from.size(), to);
}

/// The rows of a JSON Lines file.
inline std::vector<io::JsonValue> read_rows(const std::filesystem::path& path) {
  std::istringstream lines(core::read_file(path, 16 << 20));
  std::vector<io::JsonValue> rows;
  for (std::string line; std::getline(lines, line);) {
    rows.push_back(io::parse_json(line, path.string() + ":" + std::to_string(rows.size() + 1)));
  }
  return rows;
}

inline text::TokenIds ids_of(const io::JsonCursor& list) {
  text::TokenIds ids;
  for (std::size_t i = 0; i < list.size(); ++i) ids.push_back(list.at(i).as_int());
  return ids;
}

inline std::filesystem::path tiny_tokenizer_data() {
  return std::filesystem::path(DISTILL_SOURCE_DIR) / "tests/reference/tokenizer";
}

/// The tokenizer.json of tests/reference/tokenizer with these steps.
inline std::string tiny_tokenizer_json(std::string_view steps) {
  return replaced(core::read_file(tiny_tokenizer_data() / "model.json", 1 << 20), "STEPS", steps);
}

inline constexpr std::string_view kByteLevelStep =
    R"("pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"use_regex":true})";

inline std::shared_ptr<const text::Tokenizer> load_json(std::string_view json) {
  const TempFolder folder;
  std::ofstream(folder / "tokenizer.json", std::ios::binary) << json;
  return text::load_tokenizer(folder.path());
}

}  // namespace distill::testing

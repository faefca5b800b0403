#pragma once

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>

#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <distill/core/files.h>
#include <distill/io/safetensors.h>

namespace distill::testing {

/// A generated tiny Llama (tests/reference/gen_llama.py).
inline std::filesystem::path tiny_llama(const std::string& name) {
  return std::filesystem::path(DISTILL_SOURCE_DIR) / "tests/reference/llama" / name;
}

/// The folder of a tiny model of any family (also tests/reference/gen_families.py).
inline std::filesystem::path tiny_model(const std::string& name) {
  const auto other = std::filesystem::path(DISTILL_SOURCE_DIR) / "tests/reference/families" / name;
  return std::filesystem::is_directory(other) ? other : tiny_llama(name);
}

/// Every tensor of a safetensors file.
inline std::map<std::string, at::Tensor> read_tensors(const std::filesystem::path& path) {
  std::map<std::string, at::Tensor> tensors;
  const auto file = io::SafetensorsFile::open(path);
  for (const auto& entry : file.entries()) tensors[entry.name] = file.tensor(entry);
  return tensors;
}

inline void write_text(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

/// The text with one piece replaced; fails the test when the piece is not there.
inline std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const auto place = text.find(from);
  if (place == std::string::npos) {
    ADD_FAILURE() << "`" << from << "` is not in the text";
    return text;
  }
  return text.replace(place, from.size(), to);
}

/// A copy of a model folder's config and weights that a test may damage.
inline void copy_model(const std::filesystem::path& from, const std::filesystem::path& to) {
  for (const char* name : {"config.json", "model.safetensors"}) {
    std::filesystem::copy_file(from / name, to / name);
  }
}

inline void edit_config(const std::filesystem::path& folder, const std::string& from,
                        const std::string& to) {
  const std::string text = core::read_file(folder / "config.json", 1 << 20);
  write_text(folder / "config.json", replaced(text, from, to));
}

}  // namespace distill::testing

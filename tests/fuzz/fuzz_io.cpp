#include <fstream>

#include <distill/core/error.h>
#include <distill/io/jsonl.h>
#include <distill/io/safetensors.h>

#include "fuzz/fuzz.h"
#include "support/temp_folder.h"

namespace distill::fuzz {

void jsonl(std::string_view bytes) {
  const testing::TempFolder folder;
  std::ofstream(folder / "rows.jsonl", std::ios::binary) << bytes;
  try {
    io::JsonlReader reader(folder / "rows.jsonl");
    while (reader.next()) {
    }
  } catch (const InputError&) {
  }
}

void safetensors(std::string_view bytes) {
  const testing::TempFolder folder;
  std::ofstream(folder / "model.safetensors", std::ios::binary) << bytes;
  try {
    const auto file = io::SafetensorsFile::open(folder / "model.safetensors");
    for (const auto& entry : file.entries()) {
      if (entry.begin > entry.end) throw std::logic_error("a tensor ends before it begins");
    }
  } catch (const InputError&) {
  }
}

}  // namespace distill::fuzz

#include <distill/models/outline.h>

#include <map>
#include <string>
#include <vector>

#include <sys/stat.h>

#include <gtest/gtest.h>

#include <distill/core/files.h>
#include <distill/io/safetensors.h>
#include <distill/models/check.h>
#include <distill/models/load.h>
#include <distill/models/save.h>

#include "support/model_folders.h"
#include "support/temp_folder.h"

namespace distill::models {
namespace {

namespace fs = std::filesystem;
using testing::TempFolder;
using testing::tiny_model;

class Outline : public ::testing::TestWithParam<std::string> {};

using Header = std::map<std::string, std::pair<c10::ScalarType, std::vector<std::int64_t>>>;

Header header_of(const fs::path& file) {
  Header header;
  const auto weights = io::SafetensorsFile::open(file);
  for (const auto& entry : weights.entries()) header[entry.name] = {entry.dtype, entry.shape};
  return header;
}

TEST_P(Outline, IsWhatSavingWrites) {
  const fs::path base = tiny_model(GetParam());
  for (const std::vector<std::int64_t>& layers :
       {std::vector<std::int64_t>{}, std::vector<std::int64_t>{0}}) {
    for (const auto dtype : {c10::ScalarType::Float, c10::ScalarType::BFloat16}) {
      const TempFolder folder;
      const auto model = load_causal_lm(base, {.dtype = dtype, .keep_layers = layers});
      save_causal_lm(*model, folder / "saved", {.base_folder = base});
      fs::create_directories(folder / "outline");
      write_outline(base, layers, dtype, folder / "outline");
      EXPECT_EQ(core::read_file(folder / "outline/config.json", 1 << 20),
                core::read_file(folder / "saved/config.json", 1 << 20));
      EXPECT_EQ(header_of(folder / "outline/model.safetensors"),
                header_of(folder / "saved/model.safetensors"));
      EXPECT_EQ(fs::file_size(folder / "outline/model.safetensors"),
                fs::file_size(folder / "saved/model.safetensors"));
      check_causal_lm(folder / "outline", {});
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Families, Outline,
                         ::testing::Values("untied", "tied_llama3", "qwen2", "qwen3", "qwen3_moe",
                                           "mistral_full", "deepseek_v2", "deepseek_v3"));

TEST(OutlineFile, TakesNoRoomOnTheDisk) {
  const TempFolder folder;
  const std::vector<io::TensorSpec> specs = {
      {"a", c10::ScalarType::BFloat16, {std::int64_t{1} << 20, 1 << 12}}};
  io::write_safetensors_outline(folder / "a.safetensors", specs, {});
  struct stat status {};
  ASSERT_EQ(::stat((folder / "a.safetensors").c_str(), &status), 0);
  EXPECT_GT(status.st_size, std::int64_t{8} << 30);
  EXPECT_LT(status.st_blocks * 512, std::int64_t{1} << 20);
  EXPECT_EQ(io::SafetensorsFile::open(folder / "a.safetensors").entries().at(0).shape,
            specs[0].shape);
}

TEST(ModelFiles, AreThoseThatMakeTheModel) {
  const TempFolder folder;
  testing::copy_model(tiny_model("qwen2"), folder.path());
  testing::write_text(folder / "tokenizer.json", "x");
  testing::write_text(folder / "README.md", "x");
  std::vector<std::string> names;
  for (const auto& file : model_files(folder.path())) names.push_back(file.filename());
  EXPECT_EQ(names,
            (std::vector<std::string>{"config.json", "tokenizer.json", "model.safetensors"}));
}

}  // namespace
}  // namespace distill::models

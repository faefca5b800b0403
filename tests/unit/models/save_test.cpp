#include <algorithm>
#include <string>
#include <vector>

#include <sys/stat.h>

#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/core/files.h>
#include <distill/io/json_value.h>
#include <distill/models/load.h>
#include <distill/models/save.h>

#include "support/model_folders.h"
#include "support/temp_folder.h"
#include "support/tensor_compare.h"

namespace distill::models {
namespace {

namespace fs = std::filesystem;
using testing::message_of;
using testing::TempFolder;
using testing::tiny_model;

class SaveModel : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    fs::create_directory(base);
    testing::copy_model(tiny_model(GetParam()), base);
    for (const char* name :
         {"tokenizer.json", "tokenizer.model", "chat_template.jinja", "other.txt"}) {
      testing::write_text(base / name, std::string("content of ") + name);
    }
  }
  std::vector<std::string> names_in(const fs::path& path) const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(path)) names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
  }

  TempFolder root;
  fs::path base = root / "base";
  fs::path saved = root / "saved";
};

TEST_P(SaveModel, RoundTripKeepsEveryBit) {
  save_causal_lm(*load_causal_lm(base, {}), saved, {.base_folder = base});
  const auto before = testing::read_tensors(base / "model.safetensors");
  const auto after = testing::read_tensors(saved / "model.safetensors");
  ASSERT_EQ(after.size(), before.size());
  for (const auto& [name, tensor] : before) EXPECT_TRUE(at::equal(after.at(name), tensor)) << name;
  EXPECT_EQ(names_in(saved),
            (std::vector<std::string>{"chat_template.jinja", "config.json", "model.safetensors",
                                      "tokenizer.json", "tokenizer.model"}));
  EXPECT_EQ(core::read_file(saved / "tokenizer.json", 100), "content of tokenizer.json");
  EXPECT_EQ(names_in(root.path()), (std::vector<std::string>{"base", "saved"}));
  // Saved once more from itself, nothing changes.
  save_causal_lm(*load_causal_lm(saved, {}), root / "again", {.base_folder = saved});
  for (const char* name : {"config.json", "model.safetensors"}) {
    EXPECT_EQ(core::read_file(root / "again" / name, 1 << 20),
              core::read_file(saved / name, 1 << 20));
  }
}

TEST_P(SaveModel, ConfigChangesLayersAndDtypeOnly) {
  LoadOptions options;
  options.dtype = at::kBFloat16;
  options.keep_layers = {0};
  save_causal_lm(*load_causal_lm(base, options), saved, {.base_folder = base});
  const io::JsonValue before = io::read_json_file(base / "config.json");
  const io::JsonValue after = io::read_json_file(saved / "config.json");
  const io::JsonCursor old_config(before, "before"), new_config(after, "after");
  ASSERT_EQ(new_config.size(), old_config.size());
  for (std::size_t i = 0; i < old_config.size(); ++i) {
    const auto& [name, value] = old_config.as_object().members()[i];
    const auto& [new_name, new_value] = new_config.as_object().members()[i];
    EXPECT_EQ(name, new_name);
    if (name == "num_hidden_layers") {
      EXPECT_EQ(new_config.at(name).as_int(), 1);
    } else if (name == "dtype" || name == "torch_dtype") {
      EXPECT_EQ(new_config.at(name).as_string(), "bfloat16");
    } else if (value.is_number()) {
      EXPECT_EQ(new_value.is_integer(), value.is_integer()) << name;
      EXPECT_EQ(new_config.at(name).as_double(), old_config.at(name).as_double()) << name;
    } else if (value.is_string()) {
      EXPECT_EQ(new_config.at(name).as_string(), old_config.at(name).as_string()) << name;
    } else {
      EXPECT_STREQ(new_value.kind_name(), value.kind_name()) << name;
    }
  }
  EXPECT_EQ(load_causal_lm(saved, options)->shape().num_layers, 1);
}

TEST_P(SaveModel, StudentOfOneLayerIsTheSameOnceSaved) {
  for (std::int64_t layer = 0; layer < load_causal_lm(base, {})->shape().num_layers; ++layer) {
    const auto student = load_causal_lm(base, {.keep_layers = {layer}});
    const fs::path folder = root / std::to_string(layer);
    save_causal_lm(*student, folder, {.base_folder = base});
    const auto again = load_causal_lm(folder, {});
    EXPECT_EQ(again->shape().num_parameters, student->shape().num_parameters);
    const types::ModelInput input = types::pack({std::vector<std::int64_t>(40, 3), {1, 2, 3}});
    // Sums of products may depend on where in memory the weights lie.
    EXPECT_LT(testing::relative_error(again->forward(input).hidden, student->forward(input).hidden),
              1e-6)
        << layer;
  }
}

TEST_P(SaveModel, OtherDtypeAndShards) {
  const auto model = load_causal_lm(base, {});
  save_causal_lm(*model, saved,
                 {.base_folder = base, .dtype = at::kBFloat16, .max_shard_bytes = 10000});
  EXPECT_TRUE(fs::exists(saved / "model.safetensors.index.json"));
  const auto reread = load_causal_lm(saved, {});
  const auto original = model->parameters(), rounded = reread->parameters();
  for (std::size_t i = 0; i < original.size(); ++i) {
    EXPECT_TRUE(at::equal(rounded[i].tensor, original[i].tensor.to(at::kBFloat16).to(at::kFloat)))
        << original[i].name;
  }
}

TEST_P(SaveModel, RefusesAnExistingFolder) {
  const auto model = load_causal_lm(base, {});
  fs::create_directory(saved);
  EXPECT_NE(message_of<InputError>([&] {
              save_causal_lm(*model, saved, {.base_folder = base});
            }).find("exists already"),
            std::string::npos);
  EXPECT_TRUE(fs::is_empty(saved));
}

TEST_P(SaveModel, RefusesTheFilesOfAnotherModel) {
  const auto model = load_causal_lm(base, {});
  testing::edit_config(base, "\"vocab_size\": ", "\"vocab_size\": 1");
  EXPECT_NE(message_of<InputError>([&] {
              save_causal_lm(*model, saved, {.base_folder = base});
            }).find("of another model"),
            std::string::npos);
  EXPECT_FALSE(fs::exists(saved));
}

TEST_P(SaveModel, LeavesNothingBehindWhenItFails) {
  const auto model = load_causal_lm(base, {});
  fs::remove(base / "tokenizer.json");
  ASSERT_EQ(::mkfifo((base / "tokenizer.json").c_str(), 0600), 0);
  message_of<InputError>([&] { save_causal_lm(*model, saved, {.base_folder = base}); });
  EXPECT_EQ(names_in(root.path()), (std::vector<std::string>{"base"}));
  message_of<IoError>(
      [&] { save_causal_lm(*model, root / "no" / "parent", {.base_folder = base}); });
}

INSTANTIATE_TEST_SUITE_P(Cases, SaveModel,
                         ::testing::Values("untied", "tied_llama3", "biased_linear",
                                           "mistral_window", "qwen2_window", "qwen3", "qwen3_moe",
                                           "qwen3_moe_new", "deepseek_v2", "deepseek_v3",
                                           "deepseek_v3_new"),
                         [](const auto& tested) { return tested.param; });

}  // namespace
}  // namespace distill::models

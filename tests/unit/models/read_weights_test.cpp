// Weights that are read by many threads, in pieces.
#include <limits>
#include <string>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/randn.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/models/check.h>
#include <distill/models/load.h>

#include "support/model_folders.h"
#include "support/temp_folder.h"

namespace distill::models {
namespace {

using testing::message_of;

/// A model whose embedding, of 20,003 rows, is read in ten pieces.
class ReadWeights : public ::testing::Test {
 protected:
  void SetUp() override {
    threads_ = at::get_num_threads();
    at::set_num_threads(4);
    const auto source = testing::tiny_llama("tied_llama3");
    std::filesystem::copy_file(source / "config.json", folder / "config.json");
    testing::edit_config(folder.path(), "\"vocab_size\": 40", "\"vocab_size\": 20003");
    for (const auto& [name, tensor] : testing::read_tensors(source / "model.safetensors")) {
      weights[name] = tensor.clone();
    }
    weights[embedding] = at::randn({20003, 32});
  }
  void TearDown() override { at::set_num_threads(threads_); }

  /// In the reverse of their alphabetical order, so that the order of the file is no other's.
  void write() {
    io::write_safetensors(folder / "model.safetensors", {weights.rbegin(), weights.rend()}, {});
  }
  void store_as(c10::ScalarType dtype) {
    for (auto& [name, tensor] : weights) tensor = tensor.to(dtype);
    write();
  }
  void expect_loads_as(const LoadOptions& options) {
    for (const auto& [name, tensor] : load_causal_lm(folder.path(), options)->parameters()) {
      EXPECT_EQ(tensor.scalar_type(), options.dtype);
      EXPECT_TRUE(at::equal(tensor, weights.at(name).to(options.dtype))) << name;
    }
  }
  std::string refusal() {
    return message_of<FormatError>([&] { load_causal_lm(folder.path(), {}); });
  }

  testing::TempFolder folder;
  std::map<std::string, at::Tensor> weights;
  const std::string embedding = "model.embed_tokens.weight";
  int threads_ = 1;
};

TEST_F(ReadWeights, EveryConversionIsComplete) {
  for (const auto stored : {at::kFloat, at::kBFloat16, at::kHalf, at::kDouble}) {
    store_as(stored);
    for (const auto wanted : {at::kFloat, at::kBFloat16}) {
      expect_loads_as({.dtype = wanted});
      expect_loads_as({.dtype = wanted, .check_finite = false, .writable = true});
    }
  }
}

TEST_F(ReadWeights, WorksInInferenceModeToo) {
  store_as(at::kBFloat16);
  const c10::InferenceMode mode;
  expect_loads_as({.dtype = at::kFloat});
  expect_loads_as({.dtype = at::kBFloat16, .writable = true});
}

TEST_F(ReadWeights, NamesTheFirstBadTensorOfTheFileWhateverTheThreads) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  weights.at(embedding)[20002][31] = nan;
  const std::string first = "model.layers.1.mlp.up_proj.weight";
  for (const std::string& name : {std::string("model.layers.0.mlp.up_proj.weight"), first,
                                  std::string("model.layers.0.input_layernorm.weight")}) {
    weights.at(name).fill_(nan);
  }
  write();
  for (int i = 0; i < 20; ++i) {
    at::set_num_threads(1 + i % 4);
    EXPECT_EQ(refusal(), (folder / "model.safetensors").string() + ": `" + first +
                             "` holds NaN or Inf; the weights are damaged or of a failed run");
  }
}

TEST_F(ReadWeights, LooksAtEveryPiece) {
  for (const std::int64_t row : {0, 2047, 2048, 9999, 20002}) {
    const at::Tensor good = weights.at(embedding).clone();
    weights.at(embedding)[row][row % 32] = -std::numeric_limits<double>::infinity();
    write();
    EXPECT_NE(refusal().find("`" + embedding + "` holds NaN or Inf"), std::string::npos) << row;
    weights.at(embedding) = good;
  }
}

TEST_F(ReadWeights, AModelThatDoesNotFitIsRefusedBeforeItIsAllocated) {
  store_as(at::kBFloat16);
  std::uint64_t bytes = 0;
  for (const auto& [name, tensor] : weights) bytes += tensor.nbytes();
  const LoadOptions wide{.dtype = at::kFloat, .available_memory = 2 * bytes - 1};
  EXPECT_EQ(message_of<InputError>([&] { load_causal_lm(folder.path(), wide); }),
            folder.path().string() +
                ": its weights need 2.5 MiB of memory in fp32, 2.5 MiB are available; use bf16, a "
                "smaller model or a machine with more memory, or --ignore-memory to load it all "
                "the same");
  EXPECT_NO_THROW(
      load_causal_lm(folder.path(), {.dtype = at::kFloat, .available_memory = 2 * bytes}));
  // What is used where it is mapped needs nothing; a copy does.
  const LoadOptions mapped{.dtype = at::kBFloat16, .available_memory = 0};
  EXPECT_NO_THROW(load_causal_lm(folder.path(), mapped));
  LoadOptions copied = mapped;
  copied.writable = true;
  EXPECT_NE(message_of<InputError>([&] {
              load_causal_lm(folder.path(), copied);
            }).find("of memory in bf16, 0 B are available; use a smaller"),
            std::string::npos);

  EXPECT_EQ(weight_bytes(folder.path(), wide).allocated, 2 * bytes);
  EXPECT_EQ(weight_bytes(folder.path(), wide).mapped, 0u);
  EXPECT_EQ(weight_bytes(folder.path(), mapped).allocated, 0u);
  EXPECT_EQ(weight_bytes(folder.path(), mapped).mapped, bytes);
  EXPECT_EQ(weight_bytes(folder.path(), copied).allocated, bytes);
}

}  // namespace
}  // namespace distill::models

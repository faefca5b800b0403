#include <distill/models/check.h>

#include <limits>

#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>

#include <distill/core/error.h>
#include "support/model_folders.h"
#include "support/temp_folder.h"

namespace distill::models {
namespace {

using testing::message_of;
using testing::TempFolder;

class CheckTest : public ::testing::Test {
 protected:
  CheckTest() { testing::copy_model(testing::tiny_llama("untied"), folder_.path()); }
  TempFolder folder_;
};

TEST_F(CheckTest, AGoodFolderPasses) {
  EXPECT_NO_THROW(check_config(folder_.path()));
  EXPECT_NO_THROW(check_causal_lm(folder_.path(), {}));
  EXPECT_TRUE(value_problems(io::SafetensorsFile::open(folder_ / "model.safetensors")).empty());
}

TEST_F(CheckTest, RefusesWhatLoadingWouldRefuse) {
  testing::edit_config(folder_.path(), "\"llama\"", "\"gpt2\"");
  EXPECT_NE(message_of<UnsupportedError>([&] { check_config(folder_.path()); }).find("gpt2"),
            std::string::npos);
  EXPECT_THROW(check_causal_lm(folder_.path(), {}), UnsupportedError);
}

TEST_F(CheckTest, ComparesTheTensorsWithTheConfig) {
  testing::edit_config(folder_.path(), "\"intermediate_size\": ", "\"intermediate_size\": 1");
  EXPECT_NO_THROW(check_config(folder_.path()));
  EXPECT_NE(message_of<FormatError>([&] {
              check_causal_lm(folder_.path(), {});
            }).find("weights do not fit config.json"),
            std::string::npos);
  const std::vector<std::int64_t> nowhere = {99};
  EXPECT_THROW(check_causal_lm(folder_.path(), nowhere), ConfigError);
}

TEST(CheckTiedHead, ComparesItWithTheEmbedding) {
  const TempFolder folder;
  testing::copy_model(testing::tiny_llama("tied_llama3"), folder.path());
  EXPECT_NO_THROW(check_tied_head(folder.path()));
  auto tensors = testing::read_tensors(folder / "model.safetensors");
  tensors["lm_head.weight"] = tensors.at("model.embed_tokens.weight") + 1;
  std::vector<io::NamedTensor> changed(tensors.begin(), tensors.end());
  for (auto& [name, tensor] : changed) tensor = tensor.clone();
  io::write_safetensors(folder / "model.safetensors", changed, {});
  EXPECT_NO_THROW(check_causal_lm(folder.path(), {}));
  EXPECT_NE(message_of<FormatError>([&] { check_tied_head(folder.path()); }).find("differs from"),
            std::string::npos);
}

TEST(ValueProblems, NameEveryTensorInItsOwnType) {
  const TempFolder folder;
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double inf = std::numeric_limits<double>::infinity();
  io::write_safetensors(folder / "f.safetensors",
                        {{"a", at::full({3}, nan, at::kFloat)},
                         {"b", at::zeros({3}, at::kFloat)},
                         {"c", at::full({5}, inf, at::kBFloat16)},
                         {"d", at::full({7}, -inf, at::kHalf)},
                         {"e", at::full({7}, 3, at::kLong)},
                         {"f", at::full({2}, 1e300, at::kDouble)}},
                        {});
  const auto problems = value_problems(io::SafetensorsFile::open(folder / "f.safetensors"));
  const std::string file = (folder / "f.safetensors").string();
  EXPECT_EQ(problems, (std::vector<std::string>{file + ": `a` holds NaN or Inf",
                                                file + ": `c` holds NaN or Inf",
                                                file + ": `d` holds NaN or Inf"}));
}

}  // namespace
}  // namespace distill::models

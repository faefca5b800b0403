// What a model refuses to be fed with.
#include <string>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/models/load.h>
#include <distill/nn/kv_cache.h>

#include "support/model_folders.h"
#include "support/temp_folder.h"

namespace distill::models {
namespace {

using testing::message_of;

class ModelInputs : public ::testing::Test {
 protected:
  std::string refusal(const types::ModelInput& input) const {
    return message_of<InputError>([&] { model->forward(input); });
  }
  std::shared_ptr<CausalLm> model = load_causal_lm(testing::tiny_llama("untied"), {});
};

TEST_F(ModelInputs, IdsOutsideTheVocabulary) {
  EXPECT_EQ(refusal(types::pack({{0, 39, 40}})),
            "id 40 is outside the model's vocabulary, expected 0 to 39");
  EXPECT_EQ(refusal(types::pack({{-1, 39}})),
            "id -1 is outside the model's vocabulary, expected 0 to 39");
}

TEST_F(ModelInputs, TooLong) {
  EXPECT_EQ(refusal(types::pack({std::vector<std::int64_t>(257, 1)})),
            "position 256 is outside the model's positions, expected 0 to 255");
  EXPECT_NO_THROW(model->forward(types::pack({std::vector<std::int64_t>(256, 1), {1, 2}})));
  const auto cache = model->make_cache();
  model->forward_cached(at::zeros({250}, at::kLong), *cache);
  EXPECT_EQ(
      message_of<InputError>([&] { model->forward_cached(at::zeros({7}, at::kLong), *cache); }),
      "a sequence of 257 tokens does not fit the model's 256 positions");
}

TEST_F(ModelInputs, SegmentsThatDoNotCoverTheIds) {
  for (const std::vector<std::int64_t>& segments :
       std::vector<std::vector<std::int64_t>>{{}, {0}, {0, 2}, {0, 4}, {1, 3}, {0, 2, 1, 3}}) {
    types::ModelInput input = types::pack({{1, 2, 3}});
    input.segments = segments;
    EXPECT_NE(refusal(input).find("segments must rise from 0 to the number of ids (3)"),
              std::string::npos);
  }
}

TEST_F(ModelInputs, WrongKinds) {
  types::ModelInput input = types::pack({{1, 2, 3}});
  input.input_ids = input.input_ids.to(at::kInt);
  EXPECT_NE(refusal(input).find("input_ids must be an int64 list"), std::string::npos);
  input = types::pack({{1, 2, 3}});
  input.position_ids = input.position_ids.narrow(0, 0, 2);
  EXPECT_NE(refusal(input).find("position_ids has 2 entries"), std::string::npos);
}

}  // namespace
}  // namespace distill::models

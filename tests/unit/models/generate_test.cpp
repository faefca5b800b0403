#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/softmax.h>
#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/models/generate.h>
#include <distill/models/load.h>
#include <distill/models/logits.h>

#include "support/model_folders.h"
#include "support/temp_folder.h"

namespace distill::models {
namespace {

using testing::message_of;
using Ids = std::vector<std::int64_t>;

class Generate : public ::testing::Test {
 protected:
  Ids run(const GenerateOptions& options, const Ids& prompt = {1, 2, 3}) {
    return generate(*model, prompt, options);
  }
  std::shared_ptr<CausalLm> model = load_causal_lm(testing::tiny_llama("untied"), {});
};

TEST_F(Generate, SameSeedSameIds) {
  GenerateOptions options{.max_new_tokens = 40, .temperature = 1.0, .seed = 5};
  const Ids first = run(options);
  EXPECT_EQ(run(options), first);
  options.seed = 6;
  EXPECT_NE(run(options), first);
}

TEST_F(Generate, TinyTopPIsGreedy) {
  const Ids greedy = run({.max_new_tokens = 15});
  EXPECT_EQ(run({.max_new_tokens = 15, .temperature = 1.0, .top_p = 1e-9, .seed = 3}), greedy);
  EXPECT_EQ(run({.max_new_tokens = 15, .temperature = 1e-6, .seed = 3}), greedy);
}

TEST_F(Generate, DrawsWithTheModelsProbabilities) {
  // First new id over many seeds against the softmax of the logits, and against its top-p cut.
  const auto output = model->forward(types::pack({{1, 2, 3}}));
  const at::Tensor p = models::logits(output, output.hidden.narrow(0, 2, 1)).flatten().softmax(-1);
  const std::int64_t likely = p.argmax().item<std::int64_t>();
  const double expected = p[likely].item<double>();
  constexpr int kDraws = 400;
  int hits = 0;
  for (int seed = 0; seed < kDraws; ++seed) {
    hits += run({.max_new_tokens = 1, .temperature = 1.0, .seed = static_cast<std::uint64_t>(seed)})
                .front() == likely;
  }
  const double spread = std::sqrt(expected * (1 - expected) / kDraws);
  EXPECT_NEAR(static_cast<double>(hits) / kDraws, expected, 4 * spread);
}

TEST_F(Generate, StopsAfterAStopId) {
  const Ids greedy = run({.max_new_tokens = 15});
  const Ids stopped = run({.max_new_tokens = 15, .stop_ids = {greedy[4]}});
  const auto first = std::find(greedy.begin(), greedy.end(), greedy[4]);
  EXPECT_EQ(stopped, Ids(greedy.begin(), first + 1));
}

TEST_F(Generate, CallbackSeesEachIdAndMayStop) {
  Ids seen;
  const Ids result = generate(*model, {1}, {.max_new_tokens = 15}, [&](std::int64_t id) {
    seen.push_back(id);
    return seen.size() < 3;
  });
  EXPECT_EQ(result.size(), 3u);
  EXPECT_EQ(seen, result);
}

TEST_F(Generate, UsesEveryPosition) {
  EXPECT_EQ(run({.max_new_tokens = 254}).size(), 254u);
  EXPECT_TRUE(run({.max_new_tokens = 0}).empty());
}

TEST_F(Generate, RefusesBadRequests) {
  const auto refusal = [&](const GenerateOptions& options, const Ids& prompt = {1, 2, 3}) {
    return message_of<InputError>([&] { run(options, prompt); });
  };
  EXPECT_EQ(refusal({}, {}), "the prompt is empty; give at least one id");
  EXPECT_EQ(refusal({.max_new_tokens = 255}),
            "a prompt of 3 ids and 255 new ones do not fit the model's 256 positions; ask for at "
            "most 254 new ones");
  EXPECT_NE(refusal({.max_new_tokens = 9}, {40}).find("id 40"), std::string::npos);
  EXPECT_NE(refusal({.max_new_tokens = -1}).find("max_new_tokens"), std::string::npos);
  EXPECT_NE(refusal({.max_new_tokens = 1, .temperature = -0.5}).find("temperature"),
            std::string::npos);
  EXPECT_NE(refusal({.max_new_tokens = 1, .temperature = NAN}).find("temperature"),
            std::string::npos);
  EXPECT_NE(refusal({.max_new_tokens = 1, .top_p = 0.0}).find("top_p"), std::string::npos);
  EXPECT_NE(refusal({.max_new_tokens = 1, .top_p = 1.5}).find("top_p"), std::string::npos);
  EXPECT_NE(refusal({}, Ids(300, 1)).find("300 ids"), std::string::npos);
}

}  // namespace
}  // namespace distill::models

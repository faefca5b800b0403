#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/models/generate.h>
#include <distill/models/load.h>
#include <distill/models/logits.h>
#include <distill/nn/kv_cache.h>

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
  GenerateOptions options{.max_new_tokens = 40, .sampling = {.temperature = 1.0, .seed = 5}};
  const Ids first = run(options);
  EXPECT_EQ(run(options), first);
  options.sampling.seed = 6;
  EXPECT_NE(run(options), first);
}

TEST_F(Generate, TinyTopPIsGreedy) {
  const Ids greedy = run({.max_new_tokens = 15});
  EXPECT_EQ(run({.max_new_tokens = 15, .sampling = {.temperature = 1.0, .top_p = 1e-9, .seed = 3}}),
            greedy);
  EXPECT_EQ(run({.max_new_tokens = 15, .sampling = {.temperature = 1e-6, .seed = 3}}), greedy);
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
    const SamplingOptions sampling{.temperature = 1.0, .seed = static_cast<std::uint64_t>(seed)};
    hits += run({.max_new_tokens = 1, .sampling = sampling}).front() == likely;
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

TEST_F(Generate, BatchesGiveWhatSinglePromptsGive) {
  // Of different lengths; more than fit at once, so that some join while others are under way.
  std::vector<Ids> prompts;
  for (std::int64_t i = 0; i < 7; ++i) {
    Ids prompt;
    for (std::int64_t j = 0; j <= 3 * i; ++j) prompt.push_back((5 * i + 3 * j) % 40);
    prompts.push_back(prompt);
  }
  for (const double temperature : {0.0, 1.3}) {
    GenerateOptions options{.max_new_tokens = 12, .batch_size = 1};
    options.sampling = {.repetition_penalty = 1.2, .temperature = temperature, .top_k = 20};
    options.stop_ids = {generate(*model, prompts[2], options)[4]};
    const auto alone = generate(*model, prompts, options);
    for (const std::int64_t batch : {3, 16}) {
      options.batch_size = batch;
      EXPECT_EQ(generate(*model, prompts, options), alone) << batch << " at " << temperature;
    }
  }
}

TEST_F(Generate, CallbacksFollowEachPrompt) {
  const std::vector<Ids> prompts = {{1, 2}, {3}, {4, 5, 6}};
  std::vector<Ids> seen(3);
  std::vector<std::size_t> ended;
  const auto results = generate(*model, prompts, {.max_new_tokens = 6, .batch_size = 2},
                                {.on_token =
                                     [&](std::size_t prompt, std::int64_t id) {
                                       EXPECT_EQ(std::count(ended.begin(), ended.end(), prompt), 0);
                                       seen[prompt].push_back(id);
                                       return prompt != 1 || seen[1].size() < 3;
                                     },
                                 .on_end = [&](std::size_t prompt) { ended.push_back(prompt); }});
  EXPECT_EQ(results, seen);
  EXPECT_EQ(results[0].size(), 6u);
  EXPECT_EQ(results[1].size(), 3u);
  EXPECT_EQ(ended, (std::vector<std::size_t>{1, 0, 2}));
}

TEST_F(Generate, EndsAtTheLastPositionWhereAsked) {
  const std::vector<Ids> prompts = {Ids(250, 1), {7}};
  const auto results =
      generate(*model, prompts, {.max_new_tokens = 20, .end_at_last_position = true});
  EXPECT_EQ(results[0].size(), 7u);
  EXPECT_EQ(results[1].size(), 20u);
}

TEST_F(Generate, NeverChoosesAPaddingRow) {
  const Ids ids =
      run({.max_new_tokens = 60, .sampling = {.temperature = 5.0, .seed = 2}, .vocabulary = 11});
  EXPECT_LT(*std::max_element(ids.begin(), ids.end()), 11);
  EXPECT_GT(*std::max_element(ids.begin(), ids.end()), 8);
}

TEST_F(Generate, RefusesCachesThatDoNotFit) {
  const auto cache = model->make_cache();
  const at::Tensor ids = at::zeros({4}, at::kLong);
  const auto refusal = [&](Ids segments, std::vector<nn::KvCache*> caches) {
    return message_of<InputError>([&] {
      model->forward_cached(ids, nn::CachedSequences{segments, caches});
    });
  };
  EXPECT_EQ(refusal({0, 2, 4}, {cache.get()}),
            "2 sequences go on with 1 caches, expected one for each");
  EXPECT_EQ(refusal({0, 2, 4}, {cache.get(), cache.get()}), "sequence 0 has no cache of its own");
  EXPECT_EQ(refusal({0, 4}, {}), "there is no sequence to go on with");
  EXPECT_EQ(refusal({0, 4}, {nullptr}), "sequence 0 has no cache of its own");
  EXPECT_NE(refusal({0, 3}, {cache.get()}).find("segments"), std::string::npos);
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
  const auto sampling_refusal = [&](const SamplingOptions& sampling) {
    return refusal({.max_new_tokens = 1, .sampling = sampling});
  };
  EXPECT_EQ(sampling_refusal({.temperature = -0.5}), "temperature must be 0 or more, it is -0.5");
  EXPECT_NE(sampling_refusal({.temperature = NAN}).find("temperature"), std::string::npos);
  EXPECT_NE(sampling_refusal({.top_p = 0.0}).find("top_p"), std::string::npos);
  EXPECT_NE(sampling_refusal({.top_p = 1.5}).find("top_p"), std::string::npos);
  EXPECT_EQ(sampling_refusal({.top_k = -1}), "top_k must not be negative, it is -1");
  EXPECT_EQ(sampling_refusal({.repetition_penalty = 0.0}),
            "repetition_penalty must be from 0.01 to 100, it is 0");
  EXPECT_NE(sampling_refusal({.repetition_penalty = 1e39}).find("1e+39"), std::string::npos);
  EXPECT_NE(sampling_refusal({.repetition_penalty = NAN}).find("nan"), std::string::npos);
  const std::vector<Ids> prompts = {{1}, {1, 40}};
  EXPECT_EQ(message_of<InputError>([&] { generate(*model, prompts, GenerateOptions{}); }),
            "prompt 2: id 40 of the prompt is outside the model's vocabulary, expected 0 to 39");
  EXPECT_NE(refusal({.batch_size = 0}).find("batch_size"), std::string::npos);
  EXPECT_EQ(refusal({}, Ids(300, 1)),
            "a prompt of 300 ids does not fit the model's 256 positions; shorten it");
}

TEST_F(Generate, MessagesNameThePrompt) {
  std::vector<Ids> prompts = {{1}, Ids(257, 1)};
  const auto refusal = [&](const std::vector<std::string>& names) {
    return message_of<InputError>(
        [&] { generate(*model, prompts, {.end_at_last_position = true, .prompt_names = names}); });
  };
  const std::string what = "a prompt of 257 ids does not fit the model's 256 positions; shorten it";
  EXPECT_EQ(refusal({}), "prompt 2: " + what);
  EXPECT_EQ(refusal({"chat.jsonl:1", "chat.jsonl:4"}), "chat.jsonl:4: " + what);
  EXPECT_EQ(refusal({"chat.jsonl:1"}), "2 prompts have 1 names, expected one for each");
  prompts = {Ids(257, 1)};
  EXPECT_EQ(refusal({"--prompt"}), "--prompt: " + what);
}

}  // namespace
}  // namespace distill::models

#include <distill/generation/text_generator.h>

#include <filesystem>

#include <gtest/gtest.h>

#include <distill/core/interrupted.h>
#include <distill/models/generate.h>
#include <distill/models/load.h>
#include <distill/text/tokenizer.h>

#include "support/temp_folder.h"

namespace distill::generation {
namespace {

using testing::message_of;

TEST(LocalGenerator, HearsAStopWhileItWrites) {
  const auto folder = std::filesystem::path(DISTILL_SOURCE_DIR) / "tests/reference/tiny_llama";
  const auto generator = make_local_generator({.model = folder, .chat_template = "none"});
  core::StopFlag stop;
  generator->stop_with(&stop);
  EXPECT_TRUE(generator->answer({"A teacher counts"}, 1).at(0).has_value());
  stop.request(2);
  EXPECT_NE(message_of<Interrupted>([&] {
              generator->answer({"A teacher counts"}, 1);
            }).find("stopped by signal 2 while"),
            std::string::npos);
}

/// What training reads of prompt and completion are the tokens that the model read and wrote.
TEST(LocalGenerator, WhatItWroteBehindATextJoinsItAgain) {
  const auto folder = std::filesystem::path(DISTILL_SOURCE_DIR) / "tests/reference/tiny_llama";
  LocalGeneratorOptions options{.model = folder, .chat_template = "none"};
  options.dtype = c10::ScalarType::Float;
  options.generate.max_new_tokens = 12;
  const auto generator = make_local_generator(options);
  EXPECT_TRUE(generator->continues());
  EXPECT_FALSE(generator->draws());
  const std::string text = "A teacher counts";
  const auto tokenizer = text::load_tokenizer(folder);
  auto ids = tokenizer->encode(text, /*add_special=*/true);
  const auto answer = generator->answer({text}, 1).at(0);
  const auto model = models::load_causal_lm(folder, {.dtype = c10::ScalarType::Float});
  models::GenerateOptions greedy;
  greedy.max_new_tokens = 12;
  greedy.vocabulary = tokenizer->vocab_size();
  greedy.stop_ids = {tokenizer->eos_id()};
  for (const auto id : models::generate(*model, ids, greedy)) ids.push_back(id);
  EXPECT_EQ(tokenizer->decode(ids),
            tokenizer->decode(tokenizer->encode(text, true)) + answer->as_written);
}

}  // namespace
}  // namespace distill::generation

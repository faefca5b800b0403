#include <algorithm>
#include <string>

#include <ATen/core/Tensor.h>

#include <distill/core/error.h>
#include <distill/io/safetensors.h>

#include "integration/distill_command.h"

namespace distill::testing {
namespace {

namespace fs = std::filesystem;

TEST(Distill, GenerateContinuesWhatTheModelLearned) {
  const auto greedy =
      distill({"generate", "--model", tiny(), "--prompt", "The river runs", "--dtype", "fp32"});
  ASSERT_EQ(greedy.exit_code, 0) << greedy.err;
  EXPECT_NE(greedy.out.find("past the mill"), std::string::npos) << greedy.out;
  const auto sample = [](const char* seed) {
    return distill({"generate", "--model", tiny(), "--prompt", "x", "--temperature", "2", "--seed",
                    seed, "--json", "--max-new-tokens", "30"});
  };
  const auto first = io::parse_json(sample("1").out, "out");
  const auto again = io::parse_json(sample("1").out, "out");
  const auto other = io::parse_json(sample("2").out, "out");
  const auto text = [](const io::JsonValue& value) {
    return io::JsonCursor(value, "out").at("text").as_string();
  };
  EXPECT_EQ(text(first), text(again));
  EXPECT_NE(text(first), text(other));
}

TEST(Distill, GenerateAnswersConversations) {
  const TempFolder folder;
  std::ofstream(folder / "chat.jsonl")
      << R"({"messages": [{"role": "user", "content": "Hi"}]})" << '\n';
  const auto result =
      distill({"generate", "--model", tiny(), "--chat", (folder / "chat.jsonl").string(), "--json",
               "--max-new-tokens", "4"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto answer = io::parse_json(result.out, "out");
  EXPECT_EQ(io::JsonCursor(answer, "out").at("prompt").as_string(), "Hi");
}

TEST(Distill, GenerateStopsAtATextAndTakesManyPrompts) {
  const auto whole = distill({"generate", "--model", tiny(), "--prompt", "The river runs",
                              "--dtype", "fp32", "--max-new-tokens", "12"});
  const auto cut = distill({"generate", "--model", tiny(), "--prompt", "The river runs", "--dtype",
                            "fp32", "--max-new-tokens", "12", "--stop", "the mill"});
  ASSERT_EQ(cut.exit_code, 0) << cut.err;
  EXPECT_EQ(cut.out, whole.out.substr(0, whole.out.find("the mill")) + "\n");

  const TempFolder folder;
  std::ofstream chat(folder / "chat.jsonl");
  for (int i = 0; i < 5; ++i) {
    chat << R"({"messages": [{"role": "user", "content": "Question )" << i << "\"}]}\n";
  }
  chat.close();
  const auto answers = [&](const char* batch) {
    const auto result =
        distill({"generate", "--model", tiny(), "--chat", (folder / "chat.jsonl").string(),
                 "--max-new-tokens", "8", "--dtype", "fp32", "--batch-size", batch});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.out;
  };
  EXPECT_EQ(answers("1"), answers("3"));
}

/// The ids that a greedy run adds to "The river runs".
std::vector<std::int64_t> ids_after_the_river(const fs::path& model) {
  const auto result = distill({"generate", "--model", model.string(), "--prompt", "The river runs",
                               "--dtype", "fp32", "--max-new-tokens", "12", "--json"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const auto value = io::parse_json(result.out, "out");
  const io::JsonCursor list = io::JsonCursor(value, "out").at("ids");
  std::vector<std::int64_t> ids;
  for (std::size_t i = 0; i < list.size(); ++i) ids.push_back(list.at(i).as_int());
  return ids;
}

TEST(Distill, GenerateStopsAtEveryIdTheGenerationConfigNames) {
  const TempFolder folder;
  fs::copy(tiny_model(), folder / "model");
  const auto all = ids_after_the_river(folder / "model");
  ASSERT_GT(all.size(), 5u);
  const auto write = [&](const std::string& eos) {
    std::ofstream(folder / "model/generation_config.json") << "{\"eos_token_id\": " << eos << "}";
  };
  write(core::concat("[2, ", all[4], "]"));
  const auto first = std::find(all.begin(), all.end(), all[4]);
  EXPECT_EQ(ids_after_the_river(folder / "model"),
            std::vector<std::int64_t>(all.begin(), first + 1));
  fs::remove(folder / "model/generation_config.json");
  EXPECT_EQ(ids_after_the_river(folder / "model"), all);
  write("\"</s>\"");
  const auto bad =
      distill({"generate", "--model", (folder / "model").string(), "--prompt", "The river"});
  EXPECT_EQ(bad.exit_code, 2);
  EXPECT_NE(bad.err.find("generation_config.json: `eos_token_id` must be an id or a list of ids"),
            std::string::npos)
      << bad.err;
  const auto inspected = distill({"inspect", (folder / "model").string(), "--check"});
  EXPECT_EQ(inspected.exit_code, 2);
  EXPECT_NE(inspected.err.find("`eos_token_id`"), std::string::npos) << inspected.err;
}

TEST(Distill, GenerateNamesThePromptThatIsTooLong) {
  const TempFolder folder;
  std::string words;
  for (int i = 0; i < 300; ++i) words += " word";
  const std::string chat = (folder / "chat.jsonl").string();
  std::ofstream(chat) << R"({"messages": [{"role": "user", "content": "Hi"}]})" << '\n'
                      << R"({"messages": [{"role": "user", "content": ")" << words << "\"}]}\n";
  const auto conversation = distill({"generate", "--model", tiny(), "--chat", chat});
  EXPECT_EQ(conversation.exit_code, 2);
  EXPECT_NE(conversation.err.find(chat + ":2: a prompt of "), std::string::npos)
      << conversation.err;
  const auto prompt = distill({"generate", "--model", tiny(), "--prompt", words});
  EXPECT_EQ(prompt.exit_code, 2);
  EXPECT_NE(prompt.err.find("error: --prompt: a prompt of "), std::string::npos) << prompt.err;
}

TEST(Distill, ExportKeepsEveryByteAndSplitsIntoShards) {
  const TempFolder folder;
  const std::string out = (folder / "out").string();
  const auto result =
      distill({"export", "--model", tiny(), "--out", out, "--max-shard-size", "40KB"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto before = io::SafetensorsFolder::open(tiny());
  const auto after = io::SafetensorsFolder::open(out);
  EXPECT_GT(after.files().size(), 2u);
  ASSERT_EQ(after.tensors().size(), before.tensors().size());
  const auto bytes = [](const io::SafetensorsFolder::Location& location) {
    const at::Tensor tensor = location.file->tensor(*location.entry);
    return std::string(static_cast<const char*>(tensor.const_data_ptr()), tensor.nbytes());
  };
  for (const auto& [name, location] : before.tensors()) {
    const auto& other = after.tensors().at(name);
    EXPECT_EQ(other.entry->dtype, location.entry->dtype);
    EXPECT_EQ(bytes(other), bytes(location)) << name;
  }
  for (const auto& file : after.files()) {
    if (file->entries().size() == 1) continue;  // one tensor is never cut
    EXPECT_LE(file->size_bytes(), 48'000u);
  }
  EXPECT_TRUE(fs::exists(fs::path(out) / "tokenizer.json"));
  EXPECT_EQ(distill({"inspect", out, "--check"}).exit_code, 0);

  const auto again = distill({"export", "--model", tiny(), "--out", out});
  EXPECT_EQ(again.exit_code, 2);
  EXPECT_NE(again.err.find("exists already"), std::string::npos) << again.err;
  const auto size = distill({"export", "--model", tiny(), "--out", (folder / "other").string(),
                             "--max-shard-size", "large"});
  EXPECT_EQ(size.exit_code, 2);
  EXPECT_NE(size.err.find("`large`, expected a size as 5GB"), std::string::npos) << size.err;
  EXPECT_FALSE(fs::exists(folder / "other"));
}

}  // namespace
}  // namespace distill::testing

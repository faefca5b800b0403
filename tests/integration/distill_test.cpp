#include <string>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>

#include <distill/io/safetensors.h>

#include "integration/tiny_run.h"

namespace distill::testing {
namespace {

namespace fs = std::filesystem;

ProgramResult distill(std::vector<std::string> arguments, const std::string& input = "") {
  arguments.insert(arguments.begin(), DISTILL_BINARY);
  return run_program(arguments, {.input = input});
}

std::string tiny() {
  return tiny_model().string();
}

TEST(Distill, TokenizeAndBack) {
  const std::string text = "The river runs past 12 mills.\n  two  spaces\n";
  const auto ids = distill({"tokenize", "--model", tiny()}, text);
  ASSERT_EQ(ids.exit_code, 0) << ids.err;
  EXPECT_EQ(std::count(ids.out.begin(), ids.out.end(), '\n'), 2);
  const auto back = distill({"tokenize", "--model", tiny(), "--decode"}, ids.out);
  ASSERT_EQ(back.exit_code, 0) << back.err;
  EXPECT_EQ(back.out, text);
}

TEST(Distill, TokenizeJsonlKeepsLineBreaks) {
  const auto ids = distill({"tokenize", "--model", tiny(), "--jsonl"}, "{\"text\": \"a\\nb\"}\n");
  ASSERT_EQ(ids.exit_code, 0) << ids.err;
  EXPECT_EQ(std::count(ids.out.begin(), ids.out.end(), '\n'), 1);
  const auto back = distill({"tokenize", "--model", tiny(), "--jsonl", "--decode"}, ids.out);
  EXPECT_EQ(back.out, "{\"text\":\"a\\nb\"}\n");
}

TEST(Distill, TokenizeNamesTheBadLine) {
  for (const auto& [arguments, input, expected] :
       std::vector<std::tuple<std::vector<std::string>, std::string, std::string>>{
           {{"--jsonl"}, "{\"text\": \"a\"}\nnot json\n", "standard input:2"},
           {{"--jsonl"}, "{\"txet\": \"a\"}\n", "text"},
           {{}, "good\n\xff\n", "standard input:2"},
           {{"--decode"}, "1 2 x\n", "`x` is not an id"},
           {{"--decode"}, "1 999999\n", "standard input:1"}}) {
    std::vector<std::string> all = {"tokenize", "--model", tiny()};
    all.insert(all.end(), arguments.begin(), arguments.end());
    const auto result = distill(all, input);
    EXPECT_EQ(result.exit_code, 2) << result.err;
    ASSERT_EQ(error_lines(result).size(), 1u) << result.err;
    EXPECT_NE(result.err.find(expected), std::string::npos) << result.err;
  }
}

TEST(Distill, LogitsProduceTransformersValues) {
  const TempFolder folder;
  const auto reference = io::SafetensorsFile::open(tiny_model() / "reference.safetensors");
  const auto ids = reference.tensor(*reference.find("input_ids"));
  const auto expected = reference.tensor(*reference.find("logits"));
  {
    std::ofstream out(folder / "ids");
    for (std::int64_t i = 0; i < ids.numel(); ++i) out << ids.data_ptr<std::int64_t>()[i] << ' ';
    out << "\n1 2 3\n";
  }
  const auto out = folder / "logits.safetensors";
  const auto result = distill(
      {"logits", "--model", tiny(), "--ids", (folder / "ids").string(), "--out", out.string()});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto file = io::SafetensorsFile::open(out);
  ASSERT_EQ(file.entries().size(), 2u);
  const auto logits = file.tensor(*file.find("logits_0"));
  ASSERT_EQ(logits.sizes(), expected.sizes());
  EXPECT_LT(((logits - expected).norm() / expected.norm()).item<double>(), 2e-5);
  EXPECT_EQ(file.tensor(*file.find("logits_1")).size(0), 3);
}

TEST(Distill, LogitsRefuseBadIds) {
  const TempFolder folder;
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"1 2\n9999\n", "ids:2"}, {"1 -2\n", "ids:1"}, {"", "no sequence"}, {"1\n\n2\n", "ids:2"}};
  for (const auto& [text, expected] : cases) {
    std::ofstream(folder / "ids") << text;
    const auto result = distill({"logits", "--model", tiny(), "--ids", (folder / "ids").string(),
                                 "--out", (folder / "out.safetensors").string()});
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_NE(result.err.find(expected), std::string::npos) << result.err;
    EXPECT_FALSE(fs::exists(folder / "out.safetensors"));
  }
}

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

TEST(Distill, EvalComparesWithATeacher) {
  const auto result = distill({"eval", "--model", tiny(), "--teacher", tiny(), "--data",
                               (tiny_model() / "eval.jsonl").string(), "--task", "agreement",
                               "--json", "--dtype", "fp32", "--sequence-length", "64"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto value = io::parse_json(result.out, "out");
  const io::JsonCursor report(value, "out");
  EXPECT_EQ(report.at("kl_to_teacher").as_double(), 0);
  EXPECT_EQ(report.at("top1_agreement").as_double(), 1);
  EXPECT_EQ(report.at("perplexity").as_double(), report.at("teacher_perplexity").as_double());
  EXPECT_LT(report.at("perplexity").as_double(), 3);
}

TEST(Distill, InspectSaysWhatThingsAre) {
  const auto model = distill({"inspect", tiny(), "--check", "--json"});
  ASSERT_EQ(model.exit_code, 0) << model.err;
  const auto value = io::parse_json(model.out, "out");
  EXPECT_EQ(io::JsonCursor(value, "out").at("kind").as_string(), "model folder");
  const auto data =
      distill({"inspect", (tiny_model() / "train.jsonl").string(), "--model", tiny()});
  ASSERT_EQ(data.exit_code, 0) << data.err;
  EXPECT_NE(data.out.find("18"), std::string::npos) << data.out;
  EXPECT_EQ(distill({"inspect", "/nowhere"}).exit_code, 2);
}

TEST(Distill, InspectListsEveryProblem) {
  const TempFolder folder;
  std::ofstream(folder / "bad.jsonl") << "{\"text\": \"a\"}\n{\n{\"txet\": 1}\n{\"text\": \"b\"}\n";
  const auto result = distill({"inspect", (folder / "bad.jsonl").string(), "--check"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(error_lines(result).size(), 2u) << result.err;
}

TEST(Distill, ADamagedModelIsNamedByFile) {
  const TempFolder folder;
  const auto copy = folder / "model";
  const auto damaged = [&](const std::string& file, const std::string& content) {
    fs::remove_all(copy);
    fs::copy(tiny_model(), copy);
    std::ofstream(fs::path(copy) / file, std::ios::binary) << content;
    const auto result =
        distill({"logits", "--model", copy.string(), "--ids", "/dev/null", "--out", "/dev/null"});
    EXPECT_EQ(result.exit_code, 2) << file << ": " << result.err;
    ASSERT_EQ(error_lines(result).size(), 1u) << result.err;
    EXPECT_NE(result.err.find(file), std::string::npos) << result.err;
    EXPECT_LT(error_lines(result).front().size(), 300u) << result.err;
  };
  damaged("model.safetensors", "");
  damaged("model.safetensors", std::string("\xff\xff\xff\xff\xff\xff\xff\x7f{}", 10));
  damaged("config.json", "{\"model_type\": \"llama\", \"hidden_size\": 1000000000000000000}");
  damaged("config.json", "{\"model_type\": \"mamba\"}");
  damaged("config.json",
          "{\"model_type\": \"llama\", \"hidden_size\": 48, \"num_attention_heads\": -4}");
}

TEST(Distill, BadArgumentsExitWith2) {
  EXPECT_EQ(distill({}).exit_code, 2);
  EXPECT_EQ(distill({"frobnicate"}).exit_code, 2);
  EXPECT_EQ(distill({"tokenize"}).exit_code, 2);
  EXPECT_EQ(distill({"logits", "--model", tiny(), "--ids", "x", "--out", "y", "--dtype", "int3"})
                .exit_code,
            2);
  EXPECT_EQ(distill({"--help"}).exit_code, 0);
}

}  // namespace
}  // namespace distill::testing

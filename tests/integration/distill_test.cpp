#include <string>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>

#include <distill/io/safetensors.h>

#include "integration/distill_command.h"

namespace distill::testing {
namespace {

namespace fs = std::filesystem;

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
  std::string many;
  for (int i = 0; i < 5000; ++i) many += "1 ";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"1 2\n9999\n", "ids:2"},
      {"1 -2\n", "ids:1"},
      {"", "no sequence"},
      {"1\n\n2\n", "ids:2"},
      {"1\n" + many + "\n", "ids:2: 5000 ids, the model has "}};
  for (const auto& [text, expected] : cases) {
    std::ofstream(folder / "ids") << text;
    const auto result = distill({"logits", "--model", tiny(), "--ids", (folder / "ids").string(),
                                 "--out", (folder / "out.safetensors").string()});
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_NE(result.err.find(expected), std::string::npos) << result.err;
    EXPECT_FALSE(fs::exists(folder / "out.safetensors"));
  }
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

TEST(Distill, AModelWithAnUnknownChatTemplateIsStillOfUse) {
  const TempFolder folder;
  fs::copy(tiny_model(), folder / "model");
  std::ofstream(folder / "model/chat_template.jinja") << "{{ something(of, its, own) }}";
  const std::string model = (folder / "model").string();
  const auto inspected = distill({"inspect", model, "--check"});
  EXPECT_EQ(inspected.exit_code, 0) << inspected.err;
  EXPECT_NE(inspected.out.find("not known"), std::string::npos) << inspected.out;
  std::ofstream(folder / "text.jsonl") << "{\"text\": \"The river runs past the mill.\"}\n";
  const auto measured =
      distill({"eval", "--model", model, "--data", (folder / "text.jsonl").string()});
  EXPECT_EQ(measured.exit_code, 0) << measured.err;
  std::ofstream(folder / "chat.jsonl")
      << R"({"messages": [{"role": "user", "content": "Hi"}]})" << '\n';
  const auto talk =
      distill({"generate", "--model", model, "--chat", (folder / "chat.jsonl").string()});
  EXPECT_EQ(talk.exit_code, 2);
  EXPECT_NE(talk.err.find("this chat template is not known"), std::string::npos) << talk.err;
}

TEST(Distill, LostOutputIsAnError) {
  const auto to_full_disk = [](const std::string& arguments) {
    return run_program({"/bin/sh", "-c", "exec " + arguments + " > /dev/full"},
                       {.input = "some text\n"});
  };
  const std::string distill_binary = DISTILL_BINARY;
  const std::string train_binary = DISTILL_TRAIN_BINARY;
  const TinyRun run;
  for (const std::string& arguments :
       {distill_binary + " tokenize --model " + tiny(), distill_binary + " inspect " + tiny(),
        train_binary + " --reference", train_binary + " --dry-run " + run.recipe().string()}) {
    const auto result = to_full_disk(arguments);
    EXPECT_EQ(result.exit_code, 1) << arguments << "\n" << result.err;
    ASSERT_EQ(error_lines(result).size(), 1u) << arguments << "\n" << result.err;
    EXPECT_NE(result.err.find("standard output"), std::string::npos) << result.err;
  }
  EXPECT_EQ(to_full_disk(distill_binary + " --help").exit_code, 1);
  EXPECT_EQ(to_full_disk(train_binary + " --version").exit_code, 1);
}

TEST(Distill, ProgramsSayTheirVersion) {
  for (const char* program : {DISTILL_BINARY, DISTILL_TRAIN_BINARY}) {
    const auto result = run_program({program, "--version"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.out, DISTILL_VERSION "\n");
  }
}

TEST(Distill, PathsThatCannotBeLookedAtExitWith2) {
  const TempFolder folder;
  fs::create_symlink("loop", folder / "loop");
  for (const std::string& path : {(folder / "loop").string(), std::string(5000, 'x')}) {
    for (const auto& arguments : std::vector<std::vector<std::string>>{
             {"inspect", path},
             {"tokenize", "--model", path},
             {"logits", "--model", path, "--ids", path, "--out", "x"}}) {
      const auto result = distill(arguments);
      EXPECT_EQ(result.exit_code, 2) << arguments[0] << ": " << result.err;
      EXPECT_EQ(error_lines(result).size(), 1u) << result.err;
    }
  }
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
#include <limits>
#include <string>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>

#include <distill/core/strings.h>
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

TEST(Distill, InspectCountsParametersOfAConfigAlone) {
  const TempFolder folder;
  const auto source = fs::path(DISTILL_SOURCE_DIR) / "tests/reference/families/qwen3_moe";
  fs::copy_file(source / "config.json", folder / "config.json");
  const std::string path = folder.path().string();
  const auto result = distill({"inspect", path, "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  // 6 of 8 experts, of three 32 x 12 matrices each, rest.
  const auto weights = io::SafetensorsFile::open(source / "model.safetensors");
  std::int64_t total = 0;
  for (const auto& entry : weights.entries()) total += weights.tensor(entry).numel();
  EXPECT_NE(result.out.find("\"" + core::with_thousands(total) + "\""), std::string::npos)
      << result.out;
  EXPECT_NE(result.out.find("\"" + core::with_thousands(total - 6 * 3 * 32 * 12) + "\""),
            std::string::npos)
      << result.out;
  const auto checked = distill({"inspect", path, "--check"});
  EXPECT_EQ(checked.exit_code, 2);
  EXPECT_NE(checked.err.find("holds neither"), std::string::npos) << checked.err;
}

TEST(Distill, InspectListsEveryProblem) {
  const TempFolder folder;
  std::ofstream(folder / "bad.jsonl") << "{\"text\": \"a\"}\n{\n{\"txet\": 1}\n{\"text\": \"b\"}\n";
  const auto result = distill({"inspect", (folder / "bad.jsonl").string(), "--check"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(error_lines(result).size(), 2u) << result.err;
}

TEST(Distill, InspectStopsAfterAHundredProblemsAndSaysSo) {
  const TempFolder folder;
  std::ofstream(folder / "long.jsonl")
      << "{\"text\": \"a\"}\n"
      << std::string(std::size_t{17} << 20, ' ') << "\n{\"text\": \"b\"}\n";
  const auto one = distill({"inspect", (folder / "long.jsonl").string(), "--check"});
  EXPECT_EQ(error_lines(one).size(), 1u) << one.err;
  EXPECT_EQ(one.out.find("stopped"), std::string::npos) << one.out;

  std::ofstream bad(folder / "bad.jsonl");
  for (int i = 0; i < 150; ++i) bad << "{\n";
  bad.close();
  const auto many = distill({"inspect", (folder / "bad.jsonl").string(), "--check"});
  EXPECT_EQ(many.exit_code, 2);
  EXPECT_EQ(error_lines(many).size(), 100u) << many.err;
  EXPECT_NE(many.out.find("after 100 problems"), std::string::npos) << many.out;
}

TEST(Distill, InspectChecksValuesOfFilesAndModels) {
  const TempFolder folder;
  fs::copy(tiny_model(), folder / "model");
  const auto weights = io::SafetensorsFile::open(folder / "model/model.safetensors");
  std::vector<io::NamedTensor> tensors;
  for (const auto& entry : weights.entries()) {
    tensors.emplace_back(entry.name, weights.tensor(entry).clone());
  }
  ASSERT_GT(tensors.size(), 2u);
  for (const std::size_t i : {0, 2}) {
    tensors[i].second.fill_(std::numeric_limits<double>::quiet_NaN());
  }
  io::write_safetensors(folder / "model/model.safetensors", tensors, {{"format", "pt"}});
  for (const char* path : {"model", "model/model.safetensors"}) {
    EXPECT_EQ(distill({"inspect", (folder / path).string()}).exit_code, 0);
    const auto checked = distill({"inspect", (folder / path).string(), "--check"});
    EXPECT_EQ(checked.exit_code, 2);
    EXPECT_EQ(error_lines(checked).size(), 2u) << checked.err;
  }
}

TEST(Distill, InspectChecksAllOfARun) {
  const TinyRun run;
  ASSERT_EQ(run.train({"train.steps=3"}).exit_code, 0);
  const auto inspect = [&] { return distill({"inspect", run.output().string(), "--check"}); };
  const auto good = inspect();
  EXPECT_EQ(good.exit_code, 0) << good.err;
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"recipe.yaml", "# x\nname: [\n"}, {"manifest.json", "{"},
      {"metrics.jsonl", "{}\n{\n"},      {"report.json", "{"},
      {"evaluation_after.json", "{}"},   {"final/config.json", "{"}};
  for (const auto& [file, damage] : cases) {
    const std::string before = core::read_file(run.output() / file, 1 << 24);
    std::ofstream(run.output() / file, std::ios::trunc) << damage;
    const auto damaged = inspect();
    EXPECT_EQ(damaged.exit_code, 2) << file;
    EXPECT_NE(damaged.err.find(file), std::string::npos) << file << ": " << damaged.err;
    std::ofstream(run.output() / file, std::ios::trunc) << before;
  }
  fs::remove(run.output() / "final/config.json");
  const auto incomplete = inspect();
  EXPECT_EQ(incomplete.exit_code, 2);
  EXPECT_NE(incomplete.out.find("run folder"), std::string::npos) << incomplete.out;
  EXPECT_NE(incomplete.err.find("final/config.json: no such file"), std::string::npos)
      << incomplete.err;
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

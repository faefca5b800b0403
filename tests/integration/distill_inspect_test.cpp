#include <limits>
#include <string>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>

#include <distill/core/strings.h>
#include <distill/io/safetensors.h>

#include "integration/distill_command.h"

namespace distill::testing {
namespace {

namespace fs = std::filesystem;

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

TEST(Distill, InspectShowsWhatOfASampleIsLearned) {
  const TempFolder folder;
  const std::string chat = (folder / "chat.jsonl").string();
  std::ofstream(chat) << R"({"text": "before"})" << '\n'
                      << R"({"messages": [{"role": "user", "content": "Hi\u001b[2J"}, )"
                      << R"({"role": "assistant", "content": "One\nTwo"}]})" << '\n';
  const auto shown = distill({"inspect", chat, "--model", tiny(), "--sample", "2"});
  ASSERT_EQ(shown.exit_code, 0) << shown.err;
  EXPECT_EQ(shown.out.find('\033'), std::string::npos) << shown.out;
  EXPECT_NE(shown.out.find("    <|im_start|>user\\n\n    Hi\\x1b[2J<|im_end|>"), std::string::npos)
      << shown.out;
  EXPECT_NE(shown.out.find("  > One\\n\n  > Two<|im_end|>\n"), std::string::npos) << shown.out;
  const auto json = distill({"inspect", chat, "--model", tiny(), "--sample", "2", "--json"});
  ASSERT_EQ(json.exit_code, 0) << json.err;
  const auto value = io::parse_json(json.out, "out");
  std::string learned;
  const io::JsonCursor sample = io::JsonCursor(value, "out").at("sample");
  for (std::size_t i = 0; i < sample.size(); ++i) {
    const io::JsonCursor part = sample.at(i);
    if (part.at("learned").as_bool()) learned += part.at("text").as_string();
  }
  EXPECT_EQ(learned, "One\nTwo<|im_end|>");
  const auto past = distill({"inspect", chat, "--model", tiny(), "--sample", "3"});
  EXPECT_EQ(past.exit_code, 2);
  EXPECT_NE(past.err.find("has 2 rows, row 3 was asked for"), std::string::npos) << past.err;
  EXPECT_EQ(distill({"inspect", chat, "--sample", "1"}).exit_code, 2);
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

}  // namespace
}  // namespace distill::testing

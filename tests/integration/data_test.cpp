// Data in all its wrappings, through the programs.
#include <fstream>
#include <string>

#include "integration/tiny_run.h"

namespace distill::testing {
namespace {

namespace fs = std::filesystem;

ProgramResult distill(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), DISTILL_BINARY);
  return run_program(arguments);
}

std::string shown(const fs::path& path) {
  return path.string();
}

TEST(Data, AFolderOfFilesTrainsAsTheFilesDo) {
  const TinyRun one;
  const TinyRun other;
  const fs::path folder = other.folder() / "data";
  fs::create_directories(folder);
  fs::copy_file(tiny_model() / "train.jsonl", folder / "part.jsonl");
  ASSERT_EQ(one.train({"train.steps=3"}).exit_code, 0);
  for (const std::string& path : {shown(folder), shown(folder) + "/p*.jsonl"}) {
    const auto result = other.train({"train.steps=3", "data.train.0.path=" + path, "--restart"});
    ASSERT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(other.final_weights_hash(), one.final_weights_hash()) << path;
  }
  const auto none = other.train({"data.train.0.path=" + shown(folder) + "/x*.jsonl", "--restart"});
  EXPECT_EQ(none.exit_code, 2);
  EXPECT_NE(none.err.find("no file matches this pattern"), std::string::npos) << none.err;
}

TEST(Data, InspectReadsAsTrainingDoes) {
  const TempFolder folder;
  std::ofstream(folder / "a.jsonl") << R"({"text": "a"})" << '\n'
                                    << R"({"instruction": "b", "output": "c"})" << '\n'
                                    << R"({"prompt": "d", "completion": ""})" << '\n';
  const auto result = distill({"inspect", shown(folder / "a.jsonl"), "--json"});
  EXPECT_EQ(result.exit_code, 2);
  const auto value = io::parse_json(result.out, "out");
  const io::JsonCursor out(value, "out");
  EXPECT_EQ(out.at("facts").at("rows").as_string(), "3");
  EXPECT_EQ(out.at("facts").at("text rows").as_string(), "1");
  EXPECT_EQ(out.at("facts").at("instruction rows").as_string(), "1");
  ASSERT_EQ(out.at("problems").size(), 1u);
  EXPECT_EQ(out.at("problems").at(std::size_t{0}).as_string(),
            shown(folder / "a.jsonl") +
                ":3: `completion` is empty, expected what follows the "
                "prompt");
  std::ofstream(folder / "b.jsonl") << R"({"text": "b"})" << '\n';
  const auto all = distill({"inspect", shown(folder.path()), "--json"});
  EXPECT_NE(all.out.find("\"files\":\"2\""), std::string::npos) << all.out;
}

TEST(Data, AugmentWritesRowsThatAreTheSameForASeed) {
  const TempFolder folder;
  std::ofstream(folder / "in.jsonl")
      << R"({"text": "The river runs past twelve mills.", "label": 3})" << '\n'
      << R"({"text": "A mill stands at every bend.", "label": 4})" << '\n';
  const auto augment = [&](const std::string& out, const std::string& seed) {
    return distill({"augment",
                    "--model",
                    shown(tiny_model()),
                    "--data",
                    shown(folder / "in.jsonl"),
                    "--out",
                    shown(folder / out),
                    "--seed",
                    seed,
                    "--chat-template",
                    "none",
                    "--prompt",
                    "{text}",
                    "--max-new-tokens",
                    "100",
                    "--min-length",
                    "0.01",
                    "--max-length",
                    "20",
                    "--copies",
                    "2",
                    "--json"});
  };
  const auto first = augment("a.jsonl", "1");
  ASSERT_EQ(first.exit_code, 0) << first.err;
  const auto value = io::parse_json(first.out, "out");
  EXPECT_EQ(io::JsonCursor(value, "out").at("rows").as_int(), 2);
  EXPECT_GT(io::JsonCursor(value, "out").at("written").as_int(), 0) << first.out;
  ASSERT_EQ(augment("b.jsonl", "1").exit_code, 0);
  ASSERT_EQ(augment("c.jsonl", "2").exit_code, 0);
  EXPECT_EQ(core::hash_file(folder / "a.jsonl"), core::hash_file(folder / "b.jsonl"));
  EXPECT_NE(core::hash_file(folder / "a.jsonl"), core::hash_file(folder / "c.jsonl"));
  std::ifstream in(folder / "a.jsonl");
  for (std::string line; std::getline(in, line);) {
    const auto row = io::parse_json(line, "a.jsonl");
    const io::JsonCursor cursor(row, "a.jsonl");
    EXPECT_EQ(cursor.at("label").as_int(), 2 + cursor.at("augmentation").at("line").as_int());
    EXPECT_EQ(cursor.at("augmentation").at("model_hash").as_string().size(), 32u);
  }
  EXPECT_EQ(distill({"inspect", shown(folder / "a.jsonl"), "--check"}).exit_code, 0);
  const auto again = augment("a.jsonl", "1");
  EXPECT_EQ(again.exit_code, 2);
  EXPECT_NE(again.err.find("exists; name another file"), std::string::npos) << again.err;
}

}  // namespace
}  // namespace distill::testing

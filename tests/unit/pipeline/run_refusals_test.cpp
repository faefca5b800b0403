#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <distill/ops/device.h>
#include <distill/pipeline/plan.h>
#include <distill/pipeline/run.h>

#include "unit/pipeline/tiny_run.h"

namespace distill::pipeline::testing {
namespace {

TEST(Run, AnotherRecipeIsRefusedByItsKeys) {
  TinyRun tiny;
  tiny.run_and_stop(5);
  const std::string message = message_of<ConfigError>([&] {
    tiny.run({"train.steps=13", "loss.0.temperature=2"});
  });
  const std::string file = tiny.in_run("recipe.yaml").string();
  EXPECT_NE(message.find(file + ": the run in this folder has another recipe"), std::string::npos);
  EXPECT_NE(message.find("\n" + file + ": loss.0.temperature: 1.0 -> 2.0\n" + file +
                         ": train.steps: 12 -> 13"),
            std::string::npos)
      << message;
}

TEST(Run, ChangedInputsAreRefused) {
  TinyRun tiny;
  tiny.train_file = tiny.folder / "train.jsonl";
  fs::copy_file(kModel / "train.jsonl", tiny.train_file);
  tiny.run_and_stop(5);
  std::ofstream(tiny.train_file, std::ios::app)
      << "{\"text\": \"One more row for the student.\"}\n";
  const std::string message = message_of<ConfigError>([&] { tiny.run(); });
  EXPECT_NE(message.find("has changed since it began"), std::string::npos) << message;
  EXPECT_NE(message.find("`data.train.fingerprint` was "), std::string::npos) << message;
}

TEST(Run, NothingIsMadeForARecipeThatCannotRun) {
  TinyRun tiny;
  const auto refused = [&](const std::string& override, const std::string& part) {
    const std::string message = message_of<InputError>([&] { tiny.run({override}); });
    EXPECT_NE(message.find(part), std::string::npos) << message;
    EXPECT_FALSE(fs::exists(tiny.folder / "run"));
  };
  refused("teacher.model=no/such", "teacher.model: no/such: no such folder");
  refused("student.init.keep_layers=9", "student.init.keep_layers: 9, but ");
  refused("data.sequence_length=512", "data.sequence_length: 512, but ");
  if (ops::why_no_cuda()) refused("device=cuda", "device: `cuda`, but ");
  refused("student.freeze=[model.embed]", "student.freeze.0: `model.embed` matches no parameter");
  refused("student.freeze=[\"*\"]", "every parameter is frozen");
}

// Who has nothing yet is told of everything at once, each with its place in the file.
TEST(Run, AllThatIsMissingIsToldTogether) {
  TinyRun tiny;
  const std::string message = message_of<ConfigError>([&] {
    tiny.run({"student={model: no/student}", "teacher.model=no/teacher",
              "data.train=[{path: no/train.jsonl}]", "gates=[{require: accurcy > 1}]"});
  });
  for (const char* part :
       {"student.model: no/student: no such folder", "teacher.model: no/teacher: no such folder",
        "data.train.0.path: no/train.jsonl: no such file", "`accurcy` is not measured"}) {
    EXPECT_NE(message.find(part), std::string::npos) << message;
  }
  EXPECT_EQ(std::ranges::count(message, '\n'), 3) << message;
  EXPECT_FALSE(fs::exists(tiny.folder / "run"));
}

// The run that is there is worth more than one that cannot be.
TEST(Run, BeginningAgainWithoutItsDataKeepsTheOldRun) {
  TinyRun tiny;
  tiny.train_file = tiny.folder / "train.jsonl";
  fs::copy_file(kModel / "train.jsonl", tiny.train_file);
  tiny.run();
  fs::remove(tiny.train_file);
  EXPECT_TRUE(tiny.run().was_finished);
  const std::string message = message_of<ConfigError>([&] { tiny.run({}, StartPolicy::kRestart); });
  EXPECT_NE(message.find("data.train.0.path: "), std::string::npos) << message;
  EXPECT_TRUE(fs::exists(tiny.in_run("report.json")));
}

// A model that loading would refuse is found before a folder is made, and by a dry run.
TEST(Run, ModelsThatCannotBeLoadedAreRefusedAtOnce) {
  TinyRun tiny;
  const fs::path model = tiny.folder / "model";
  fs::copy(kModel, model);
  const std::string good = read(model / "config.json");
  const auto refused = [&](const std::string& from, const std::string& to,
                           const std::string& part) {
    std::string config = good;
    const auto place = config.find(from);
    ASSERT_NE(place, std::string::npos) << from;
    std::ofstream(model / "config.json", std::ios::trunc) << config.replace(place, from.size(), to);
    for (const std::string key : {"teacher.model=", "student={model: "}) {
      const std::string override = key + model.string() + (key.back() == ' ' ? "}" : "");
      const std::string message = message_of<InputError>([&] { tiny.run({override}); });
      EXPECT_NE(message.find(part), std::string::npos);
      EXPECT_EQ(message.find(": : "), std::string::npos) << message;
      EXPECT_NE(
          message_of<InputError>([&] { make_plan(tiny.recipe({override}), tiny.log); }).find(part),
          std::string::npos);
    }
    EXPECT_FALSE(fs::exists(tiny.folder / "run"));
  };
  refused("\"llama\"", "\"gpt2\"", "is gpt2, known are: deepseek_v2");
  refused("\"silu\"", "\"gelu\"", "hidden_act");
  refused("\"intermediate_size\": ", "\"intermediate_size\": 1", "weights do not fit config.json");
}

// A wrong path must not tie the folder to the wrong recipe.
TEST(Run, ARecipeThatFailedEarlyCanBeCorrected) {
  TinyRun tiny;
  const std::string message = message_of<InputError>([&] {
    tiny.run({"data.train.0.path=no.jsonl", "train.steps=3"});
  });
  EXPECT_NE(message.find("no.jsonl"), std::string::npos) << message;
  EXPECT_EQ(tiny.run({"train.steps=3"}).report.steps, 3);
}

TEST(Run, FreezePatternsMustMatch) {
  TinyRun tiny;
  EXPECT_NE(message_of<ConfigError>([&] {
              tiny.run({"student.freeze=[model.embed]"});
            }).find("student.freeze.0: `model.embed` matches no parameter"),
            std::string::npos);
  EXPECT_NE(message_of<ConfigError>([&] {
              tiny.run({"student.freeze=[\"*\"]"}, StartPolicy::kRestart);
            }).find("every parameter is frozen"),
            std::string::npos);
}

TEST(Run, AnotherTokenizerIsRefused) {
  TinyRun tiny;
  const fs::path other = tiny.folder / "other";
  fs::copy(kModel, other);
  std::string tokenizer = read(other / "tokenizer.json");
  const auto place = tokenizer.find("<|im_end|>");
  ASSERT_NE(place, std::string::npos);
  for (auto at = place; at != std::string::npos; at = tokenizer.find("<|im_end|>", at)) {
    tokenizer.replace(at, 10, "<|im_eos|>");
  }
  std::ofstream(other / "tokenizer.json") << tokenizer;
  std::string config = read(other / "tokenizer_config.json");
  for (auto at = config.find("<|im_end|>"); at != std::string::npos;
       at = config.find("<|im_end|>", at)) {
    config.replace(at, 10, "<|im_eos|>");
  }
  std::ofstream(other / "tokenizer_config.json") << config;
  const std::string message = message_of<InputError>([&] {
    tiny.run({"student={model: " + other.string() + "}", "data.chat_template=none"});
  });
  EXPECT_NE(message.find("its tokenizer gives other ids than that of the teacher"),
            std::string::npos)
      << message;
}

}  // namespace
}  // namespace distill::pipeline::testing

#include <distill/pipeline/train_command.h>

#include <fstream>
#include <string>

#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include <distill/io/json_value.h>
#include <distill/pipeline/plan.h>
#include "unit/pipeline/tiny_run.h"

namespace distill::pipeline::testing {
namespace {

class TrainCommandTest : public ::testing::Test {
 protected:
  TrainCommandTest() {
    std::string text = tiny_.text();
    text.replace(text.find("counted_kl"), 10, "forward_kl");
    command_.recipe = tiny_.folder / "tiny.yaml";
    command_.run.quiet = true;
    std::ofstream(command_.recipe) << text;
  }
  TinyRun tiny_;
  TrainCommand command_;
};

TEST_F(TrainCommandTest, DryRunShowsThePlanAndWritesNothing) {
  command_.dry_run = true;
  const std::string text = run_train_command(command_, tiny_.log);
  for (const char* part : {"# resolved recipe\nname: tiny\n", "# plan\nteacher  ", "2 layers of 4",
                           "trained  ", "eval 3 rows", "# memory, estimated (cpu", "total  "}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
  }
  EXPECT_FALSE(fs::exists(tiny_.folder / "run"));

  command_.json = true;
  command_.overrides = {"data.max_eval_rows=1"};
  const io::JsonValue value = io::parse_json(run_train_command(command_, tiny_.log), "plan");
  const io::JsonCursor plan(value, "plan");
  EXPECT_EQ(plan.at("steps").as_int(), 12);
  EXPECT_EQ(plan.at("eval_rows").as_int(), 1);
  EXPECT_LT(plan.at("trainable_parameters").as_int(), plan.at("student").at("parameters").as_int());
  EXPECT_GT(plan.at("memory_bytes").at("cpu").at("total").as_int(), 0);
}

TEST_F(TrainCommandTest, DryRunSaysWhatMemoryWillNotSufficeFor) {
  command_.dry_run = true;
  command_.run.available_memory = 1;
  EXPECT_NE(run_train_command(command_, tiny_.log).find("warning  training needs at least "),
            std::string::npos);
  command_.json = true;
  EXPECT_NE(run_train_command(command_, tiny_.log).find("\"memory_warning\": \"training needs"),
            std::string::npos);
  command_.run.available_memory = std::uint64_t{1} << 60;  // --ignore-memory
  EXPECT_EQ(run_train_command(command_, tiny_.log).find("memory_warning"), std::string::npos);
}

TEST_F(TrainCommandTest, RunsAndShowsTheTable) {
  command_.overrides = {"train.steps=3"};
  command_.distill = "elsewhere/distill";
  const std::string text = run_train_command(command_, tiny_.log);
  for (const char* part : {"student before", "perplexity", "KL to the teacher", "top-1 agreement",
                           "talk to it: elsewhere/distill generate --model "}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
  }
  command_.json = true;
  EXPECT_EQ(run_train_command(command_, tiny_.log),
            core::read_file(tiny_.in_run("report.json"), 1 << 20));
  EXPECT_TRUE(tiny_.log.has("this run is done; add --restart"));
}

TEST_F(TrainCommandTest, ARunFolderThatHoldsTheRecipeIsRefused) {
  for (const fs::path& output :
       {tiny_.folder.path(), tiny_.folder.path() / ".", tiny_.folder.path().parent_path()}) {
    command_.overrides = {"output=" + output.string()};
    for (const bool dry : {true, false}) {
      command_.dry_run = dry;
      EXPECT_NE(message_of<ConfigError>([&] {
                  run_train_command(command_, tiny_.log);
                }).find("is the folder of the recipe"),
                std::string::npos);
    }
  }
  EXPECT_TRUE(fs::exists(command_.recipe));
}

TEST_F(TrainCommandTest, AHandWrittenRecipeYamlIsNotReplaced) {
  fs::create_directory(tiny_.folder / "exp");
  fs::rename(command_.recipe, tiny_.folder / "exp/recipe.yaml");
  command_.recipe = tiny_.folder / "exp/recipe.yaml";
  command_.overrides = {"output=" + (tiny_.folder / "exp").string()};
  const std::string before = core::read_file(command_.recipe, 1 << 20);
  for (const auto policy : {StartPolicy::kAuto, StartPolicy::kRestart}) {
    command_.run.policy = policy;
    EXPECT_THROW(run_train_command(command_, tiny_.log), InputError);
  }
  EXPECT_EQ(core::read_file(command_.recipe, 1 << 20), before);
}

TEST_F(TrainCommandTest, ARunGoesOnWithItsOwnRecipe) {
  command_.overrides = {"train.steps=3"};
  run_train_command(command_, tiny_.log);
  command_.recipe = tiny_.in_run("recipe.yaml");
  command_.overrides = {};
  run_train_command(command_, tiny_.log);
  EXPECT_TRUE(tiny_.log.has("this run is done"));
}

TEST_F(TrainCommandTest, HugeNumbersDoNotOverflowThePlan) {
  command_.dry_run = true;
  command_.overrides = {"train.steps=1099511627776", "train.batch_size=4194304",
                        "train.micro_batch_size=4194304"};
  const std::string text = run_train_command(command_, tiny_.log);
  const std::string steps = text.substr(text.find("\nsteps ") + 1);
  EXPECT_EQ(steps.substr(0, steps.find('\n')).find('-'), std::string::npos) << steps;
  command_.json = true;
  const io::JsonValue value = io::parse_json(run_train_command(command_, tiny_.log), "plan");
  const io::JsonCursor plan(value, "plan");
  EXPECT_GT(plan.at("run_tokens").as_int(), std::int64_t{1} << 62);
  EXPECT_GT(plan.at("memory_bytes").at("cpu").at("total").as_double(), 1e12);
}

TEST(ErrorLines, ControlCharactersAndExhaustedMemory) {
  EXPECT_EQ(error_lines(InputError("a\x1b[31m\x9b: b"), false), "error: a\\x1b[31m\x9b: b\n");
  EXPECT_EQ(error_lines(std::bad_alloc(), false).substr(0, 20), "error: out of memory");
  EXPECT_EQ(exit_code(std::bad_alloc()), 1);
}

TEST(ErrorLines, OneForEachProblem) {
  EXPECT_EQ(error_lines(ConfigError("a.yaml:1: x\na.yaml:2: y"), false),
            "error: a.yaml:1: x\nerror: a.yaml:2: y\n");
  EXPECT_EQ(error_lines(ConfigError(""), false), "error: unknown\n");
  EXPECT_EQ(exit_code(ConfigError("")), 2);
  EXPECT_EQ(exit_code(FormatError("")), 2);
  EXPECT_EQ(exit_code(IoError("")), 1);
  EXPECT_EQ(exit_code(Interrupted("")), 1);
  EXPECT_EQ(exit_code(std::runtime_error("")), 1);
}

TEST(ErrorLines, BackTracesOnlyWhenAsked) {
  try {
    TORCH_CHECK(false, "a shape is wrong");
  } catch (const std::exception& error) {
    EXPECT_EQ(error_lines(error, false), "error: a shape is wrong\n");
    EXPECT_GT(error_lines(error, true).size(), error_lines(error, false).size());
  }
}

}  // namespace
}  // namespace distill::pipeline::testing

// Every recipe under configs/: planned with the shapes of the real models, and run from end to end
// with tiny ones in their place.
#include <cstdlib>

#include <c10/core/ScalarType.h>

#include <distill/models/outline.h>

#include "integration/tiny_run.h"
#include "support/shared_data.h"

namespace distill::testing {
namespace {

namespace fs = std::filesystem;

fs::path configs() {
  return fs::path(DISTILL_SOURCE_DIR) / "configs";
}

std::vector<fs::path> all_configs() {
  std::vector<fs::path> found;
  for (const auto& entry : fs::recursive_directory_iterator(configs())) {
    if (entry.path().extension() == ".yaml") found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

void write_rows(const fs::path& path, int count) {
  fs::create_directories(path.parent_path());
  std::ofstream rows(path);
  for (int i = 0; i < count; ++i) {
    rows << R"({"messages": [{"role": "user", "content": "What is )" << i
         << R"( and two?"}, {"role": "assistant", "content": "It is )" << i + 2 << R"(."}]})"
         << "\n";
  }
}

void write_texts(const fs::path& path, int count) {
  fs::create_directories(path.parent_path());
  std::ofstream rows(path);
  for (int i = 0; i < count; ++i) {
    rows << R"({"text": "The river runs past the mill, and the miller counts )" << i
         << R"( sacks of flour every evening."})"
         << "\n";
  }
}

void write_questions(const fs::path& path, int count) {
  std::ofstream rows(path);
  for (int i = 0; i < count; ++i) {
    rows << R"({"context": "The miller counts", "choices": [" the sacks.", " the )" << i
         << R"( rivers."], "label": 0})"
         << "\n";
  }
}

/// A directory that recipes are run in, with the data that they name.
class Workplace {
 public:
  explicit Workplace(int texts = 12) {
    for (const char* name : {"handbook/train.jsonl", "handbook/eval.jsonl"}) {
      write_texts(folder_.path() / "data" / name, texts);
    }
    for (const char* name : {"narrow.jsonl", "general.jsonl", "general_eval.jsonl"}) {
      write_texts(folder_.path() / "data" / name, texts);
    }
    write_questions(folder_.path() / "data/piqa.jsonl", 12);
    for (const char* name : {"train.jsonl", "eval.jsonl", "prompts.jsonl"}) {
      write_rows(folder_.path() / "data" / name, 12);
    }
  }
  fs::path model(const std::string& name) const {
    const fs::path folder = folder_.path() / "models" / name;
    fs::create_directories(folder);
    return folder;
  }
  ProgramResult train(const fs::path& recipe, const std::vector<std::string>& more) const {
    std::vector<std::string> arguments = {"/bin/sh",
                                          "-c",
                                          "cd \"$0\" && exec \"$@\"",
                                          folder_.path().string(),
                                          DISTILL_TRAIN_BINARY,
                                          recipe.string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program(arguments,
                       {.environment = {{"XDG_CACHE_HOME", (folder_ / "cache").string()}}});
  }
  fs::path operator/(const std::string& name) const { return folder_.path() / name; }

 private:
  TempFolder folder_;
};

struct RealModel {
  const char* name;  ///< under models/, as recipes call it
  const char* config;
  const char* tokenizer;
};
constexpr RealModel kRealModels[] = {
    {"Qwen2.5-32B", "Qwen2.5-32B", "qwen2.5"},
    {"Qwen2.5-32B-Instruct", "Qwen2.5-32B-Instruct", "qwen2.5"},
    {"Qwen2.5-7B", "Qwen2.5-7B", "qwen2.5"},
    {"Llama-3.3-70B-Instruct", "Llama-3.3-70B-Instruct", "llama-3.1"},
    {"Llama-3.1-8B-Instruct", "Llama-3.1-8B-Instruct", "llama-3.1"},
    {"SmolLM2-135M-Instruct", "SmolLM2-135M-Instruct", "smollm2"},
    {"Teacher", "SmolLM2-135M-Instruct", "smollm2"},
    {"new_student", "Qwen2.5-0.5B-Instruct", "qwen2.5"},
};

constexpr const char* kNoWarmup = "stages.assistant.train.schedule.warmup_steps=0";

void copy_tokenizer(const fs::path& from, const fs::path& to) {
  for (const char* name : {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"}) {
    if (fs::exists(from / name)) fs::copy_file(from / name, to / name);
  }
}

TEST(Configs, ArePlannedWithTheShapesOfTheRealModels) {
  const auto shared = shared_folder();
  if (!shared || !fs::exists(*shared / "configs")) GTEST_SKIP() << "no shared configs of models";
  const Workplace work(2000);
  for (const RealModel& real : kRealModels) {
    const fs::path folder = work.model(real.name);
    models::write_outline(*shared / "configs" / real.config, {}, c10::ScalarType::BFloat16, folder);
    copy_tokenizer(*shared / "tokenizers" / real.tokenizer, folder);
  }
  copy_tokenizer(*shared / "tokenizers/deepseek-r1", work.model("DeepSeek-R1"));
  for (const fs::path& config : all_configs()) {
    std::vector<std::string> arguments = {"--dry-run", "--json", "device=cpu"};
    // A dozen prompts are one step.
    if (config.stem() == "671b_to_32b_to_7b") arguments.emplace_back(kNoWarmup);
    const auto plan = work.train(config, arguments);
    ASSERT_EQ(plan.exit_code, 0) << config << ": " << plan.err;
    const auto value = io::parse_json(plan.out, config.string(), {.max_bytes = 1 << 24});
    const io::JsonCursor root(value, config.string());
    if (!root.has("stages")) {
      EXPECT_GT(root.at("memory_bytes").at("cpu").at("total").as_int(), 0) << config;
      continue;
    }
    for (std::size_t i = 0; i < root.at("stages").size(); ++i) {
      const io::JsonCursor stage = root.at("stages").at(i);
      EXPECT_GT(stage.at("memory_bytes").at("total").as_int(), 0)
          << config << " " << stage.at("name").as_string();
    }
  }
}

TEST(Configs, ASevenBillionStudentIsPlannedAsItIs) {
  const auto shared = shared_folder();
  if (!shared || !fs::exists(*shared / "configs")) GTEST_SKIP() << "no shared configs of models";
  const Workplace work;
  for (const RealModel& real : kRealModels) {
    if (!std::string(real.name).starts_with("Qwen2.5")) continue;
    const fs::path folder = work.model(real.name);
    models::write_outline(*shared / "configs" / real.config, {}, c10::ScalarType::BFloat16, folder);
    copy_tokenizer(*shared / "tokenizers" / real.tokenizer, folder);
  }
  copy_tokenizer(*shared / "tokenizers/deepseek-r1", work.model("DeepSeek-R1"));
  const auto plan = work.train(configs() / "671b_to_32b_to_7b.yaml",
                               {"--dry-run", "--json", "device=cpu", kNoWarmup});
  ASSERT_EQ(plan.exit_code, 0) << plan.err;
  const auto value = io::parse_json(plan.out, "plan", {.max_bytes = 1 << 24});
  const io::JsonCursor last = io::JsonCursor(value, "plan").at("stages").at(3);
  EXPECT_EQ(last.at("name").as_string(), "student_7b");
  // The published sizes: 7,615,616,512 and 32,763,876,352 parameters, two bytes each, and for each
  // one that is trained 12 bytes of optimizer.
  constexpr std::int64_t kSeven = 7'615'616'512;
  constexpr std::int64_t kThirtyTwo = 32'763'876'352;
  EXPECT_EQ(last.at("memory_bytes").at("teacher").as_int(), 2 * kThirtyTwo);
  EXPECT_EQ(last.at("memory_bytes").at("student").as_int(), 2 * kSeven);
  EXPECT_EQ(last.at("memory_bytes").at("optimizer").as_int(), 12 * kSeven);
  EXPECT_EQ(last.at("disk_bytes").at("model").as_int(), 2 * kSeven);
  EXPECT_EQ(last.at("disk_bytes").at("checkpoints").as_int(), 3 * 12 * kSeven);
}

/// Settings with which a recipe's run takes some seconds on tiny models.
std::vector<std::string> small(const fs::path& config) {
  std::vector<std::string> all = {"device=cpu", "data.sequence_length=64", "train.batch_size=2",
                                  "train.micro_batch_size=1"};
  const std::string name = config.stem().string();
  const auto more = [&all](std::vector<std::string> some) {
    all.insert(all.end(), some.begin(), some.end());
  };
  const std::string short_run = "{kind: cosine, warmup_steps: 1}";
  if (name == "quickstart") more({"student.init.keep_layers=2"});
  if (name == "forgetting") more({"forgetting.every=2", "student.lora.rank=2"});
  if (name.starts_with("lora_")) {
    more({"train.epochs=0.5", "train.schedule=" + short_run, "student.lora.rank=2"});
  } else if (name == "progressive_smollm2") {
    more({"train.steps=4", "train.schedule=" + short_run, "student.init.keep_layers=3",
          "stages.layers_8.student.init.keep_layers=2", "stages.layers_18.gates=[]"});
  } else if (name == "70b_to_8b") {
    all.resize(2);
    more({"stages.student_8b.train={steps: 4, batch_size: 2}", "stages.answers.teacher.top_k=16",
          "stages.student_8b.evaluate.every=0"});
  } else if (name == "671b_to_32b_to_7b") {
    // What a server does, a model in this process does as well; served_chain_test.cpp has a server.
    more({"stages.answers.teacher={kind: local, model: models/DeepSeek-R1}",
          "stages.answers.generate.max_new_tokens=150", "stages.answers.generate.temperature=4",
          "stages.answers.generate.top_p=1", "stages.answers.generate.max_repetition=null",
          "stages.assistant.teacher={kind: local, model: models/DeepSeek-R1}",
          "stages.assistant.student.lora.rank=2", "stages.assistant.train.schedule=" + short_run,
          "stages.assistant.data.train=[{path: \"${stages.answers.output}\"}, {path: "
          "data/train.jsonl}]",
          "stages.student_7b.train={steps: 4}", "stages.student_7b.train.schedule=" + short_run,
          "stages.student_7b.gates=[]", "stages.assistant.gates.0.on_failure=warn"});
  } else {
    more({"train.steps=4", "train.schedule=" + short_run});
    if (name == "32b_to_7b") more({"evaluate.every=0", "gates.0.with={train.steps: 6}"});
  }
  return all;
}

TEST(Configs, RunFromEndToEndWithTinyModels) {
  for (const fs::path& config : all_configs()) {
    const Workplace work;
    for (const char* name : {"Qwen2.5-32B", "Qwen2.5-32B-Instruct", "Qwen2.5-7B",
                             "Llama-3.3-70B-Instruct", "Llama-3.1-8B-Instruct",
                             "SmolLM2-135M-Instruct", "Teacher", "new_student", "DeepSeek-R1"}) {
      fs::copy(tiny_model(), work.model(name));
    }
    const auto done = work.train(config, small(config));
    // A gate may find a tiny model wanting: all else is done then.
    const bool gate =
        done.exit_code == 1 && done.err.find("so final/ is not written") != std::string::npos;
    ASSERT_TRUE(done.exit_code == 0 || gate) << config << ": " << done.err;
    if (!gate) {
      EXPECT_TRUE(fs::exists(work / ("runs/" + config.stem().string() + "/final"))) << config;
    }
  }
}

}  // namespace
}  // namespace distill::testing

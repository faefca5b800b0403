// `distill cache` and training from what it keeps, as users call them: killed at any moment, of
// other data, another teacher, another tokenizer.
#include <csignal>
#include <cstdlib>

#include <distill/core/files.h>
#include <distill/core/strings.h>

#include "integration/distill_command.h"
#include "support/cache_files.h"

namespace distill::testing {
namespace {

namespace fs = std::filesystem;

/// The tiny run with a cache for its teacher.
class CachedRun {
 public:
  std::string cache() const { return (run_.folder() / "cache-of-teacher").string(); }
  std::vector<std::string> arguments(const std::vector<std::string>& more) const {
    std::vector<std::string> all = {
        "teacher={kind: cache, path: " + cache() + ", model: " + tiny() + "}",
        "loss=[{kind: forward_kl, temperature: 1.0}]"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  ProgramResult capture(const std::vector<std::string>& more = {},
                        ProgramOptions options = {}) const {
    options.environment.emplace("XDG_CACHE_HOME", (run_.folder() / "cache").string());
    std::vector<std::string> all = {DISTILL_BINARY, "cache", run_.recipe().string()};
    for (const auto& argument : arguments(more)) all.push_back(argument);
    return run_program(all, options);
  }
  ProgramResult train(const std::vector<std::string>& more = {},
                      const ProgramOptions& options = {}) const {
    return run_.train(arguments(more), options);
  }
  std::string hash() const { return io::read_logit_cache_info(cache()).hash; }
  const TinyRun& run() const { return run_; }

 private:
  TinyRun run_;
};

/// The one error line.
std::string only_error(const ProgramResult& result) {
  const auto lines = error_lines(result);
  EXPECT_EQ(lines.size(), 1U) << result.err;
  EXPECT_EQ(result.exit_code, 2) << result.err;
  const std::string line = lines.empty() ? "" : lines.front();
  EXPECT_LT(line.size(), 450U) << line;
  return line;
}

TEST(Cache, ServesTrainingAndEvaluation) {
  const CachedRun run;
  const auto captured = run.capture({"--json"});
  ASSERT_EQ(captured.exit_code, 0) << captured.err;
  const auto value = io::parse_json(captured.out, "output");
  EXPECT_GT(io::JsonCursor(value, "output").at("positions").as_int(), 100);
  const auto trained = run.train({"--json"});
  ASSERT_EQ(trained.exit_code, 0) << trained.err;
  const auto report = io::parse_json(trained.out, "report");
  const auto measure = [&](const char* when) {
    return io::JsonCursor(report, "report").at(when).at("top_k_kl_to_teacher").as_double();
  };
  EXPECT_LT(measure("after"), measure("before"));
  std::ostringstream manifest_text;
  manifest_text << std::ifstream(run.run().output() / "manifest.json").rdbuf();
  const std::string manifest = manifest_text.str();
  EXPECT_NE(manifest.find(run.hash()), std::string::npos) << "the manifest names the cache";
}

TEST(Cache, ManyIdsTrainLikeTheOnlineTeacher) {
  const TinyRun online;
  ASSERT_EQ(online.train({"loss=[{kind: forward_kl, temperature: 1.0}]"}).exit_code, 0);
  const CachedRun cached;
  ASSERT_EQ(cached.capture({"teacher.top_k=60000"}).exit_code, 0);
  const auto trained = cached.train();
  ASSERT_EQ(trained.exit_code, 0) << trained.err;
  const auto last_loss = [](const fs::path& output) {
    std::ifstream file(output / "metrics.jsonl");
    double loss = 0;
    for (std::string line; std::getline(file, line);) {
      const auto event = io::parse_json(line, "metrics");
      const io::JsonCursor cursor(event, "metrics");
      if (cursor.has("loss")) loss = cursor.at("loss").as_double();
    }
    return loss;
  };
  EXPECT_NEAR(last_loss(cached.run().output()) / last_loss(online.output()), 1, 1e-3);
}

TEST(Cache, KilledBeforeAnyWriteTheCaptureGoesOnToTheSameSignals) {
  const std::vector<std::string> form = {"teacher.form=sampled"};
  const CachedRun whole;
  const auto shim = [](const CachedRun& run, long at) {
    return std::map<std::string, std::string>{{"LD_PRELOAD", FAULT_SHIM},
                                              {"FAULT_AT", std::to_string(at)},
                                              {"FAULT_ERRNO", "0"},
                                              {"FAULT_UNDER", run.cache()}};
  };
  auto counting = shim(whole, 0);
  counting["FAULT_COUNT"] = (whole.run().folder() / "count").string();
  ASSERT_EQ(whole.capture(form, {.environment = counting}).exit_code, 0);
  long calls = 0;
  std::ifstream(whole.run().folder() / "count") >> calls;
  ASSERT_GT(calls, 20);
  const long stride = std::getenv("DISTILL_EXHAUSTIVE") != nullptr ? 1 : calls / 20 + 1;
  for (long at = 1; at <= calls; at += stride) {
    const CachedRun run;
    const auto killed = run.capture(form, {.environment = shim(run, at)});
    ASSERT_EQ(killed.signal, SIGKILL) << "call " << at << ": " << killed.err;
    if (!fs::exists(fs::path(run.cache()) / "cache.json")) {
      only_error(run.train(form));
    }
    const auto resumed = run.capture(form);
    ASSERT_EQ(resumed.exit_code, 0) << "after a kill at call " << at << ": " << resumed.err;
    ASSERT_EQ(run.hash(), whole.hash()) << "after a kill at call " << at;
    const auto checked = distill({"inspect", run.cache(), "--check"});
    ASSERT_EQ(checked.exit_code, 0) << checked.err;
  }
}

TEST(Cache, AStoppedRunGoesOnBitForBit) {
  const CachedRun straight;
  ASSERT_EQ(straight.capture({"teacher.form=sampled"}).exit_code, 0);
  ASSERT_EQ(straight.train({"train.steps=6"}).exit_code, 0);
  const CachedRun run;
  ASSERT_EQ(run.capture({"teacher.form=sampled"}).exit_code, 0);
  const auto killed =
      run.train({"train.steps=6"}, {.signal = [&](std::chrono::milliseconds) {
                  return fs::exists(run.run().output() / "checkpoints/step_00000003") ? SIGKILL : 0;
                }});
  ASSERT_EQ(killed.signal, SIGKILL) << killed.err;
  const auto resumed = run.train({"train.steps=6"});
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_EQ(run.run().final_weights_hash(), straight.run().final_weights_hash());
}

TEST(Cache, MissingAndForeignCachesAreRefusedByName) {
  const CachedRun run;
  EXPECT_NE(only_error(run.train()).find("holds no logit cache (no cache.json)"),
            std::string::npos);
  ASSERT_EQ(run.capture().exit_code, 0);

  std::string line = only_error(run.train({"data.sequence_length=40"}));
  EXPECT_NE(line.find("it was captured with sequence_length 48, the recipe has 40"),
            std::string::npos)
      << line;
  const fs::path other = run.run().folder() / "other.jsonl";
  std::ofstream(other) << "{\"text\": \"Nobody ever asked about this.\"}\n";
  line = only_error(run.train({"data.train=[{path: " + other.string() + "}]"}));
  EXPECT_NE(line.find("1 of 1 segments of data.train are not in it: it was captured from other "
                      "data"),
            std::string::npos)
      << line;
  line = only_error(run.train({"loss=[{kind: hidden_mse, pairs: [{student: 0, teacher: 0}]}]"}));
  EXPECT_NE(line.find("loss.0"), std::string::npos) << line;
  line = only_error(run.train({"teacher.top_k=7"}));
  EXPECT_NE(line.find("teacher.top_k: is 7, the cache "), std::string::npos) << line;
  line = only_error(run.capture({"teacher.top_k=7"}));
  EXPECT_NE(line.find("`size` was 32 and is 7"), std::string::npos) << line;

  // Another teacher: the same files with other weights.
  const fs::path copy = run.run().folder() / "other-teacher";
  fs::copy(tiny_model(), copy, fs::copy_options::recursive);
  const fs::path weights = copy / "model.safetensors";
  std::fstream file(weights, std::ios::binary | std::ios::in | std::ios::out);
  file.seekp(-2, std::ios::end).put(1);
  file.close();
  line = only_error(run.train({"teacher.model=" + copy.string()}));
  EXPECT_NE(line.find("was captured from another teacher than " + copy.string()), std::string::npos)
      << line;
}

TEST(Cache, ATeacherInFewBitsIsAnotherOne) {
  const CachedRun run;
  const auto captured = run.capture({"teacher.quantize=int8"});
  ASSERT_EQ(captured.exit_code, 0) << captured.err;
  EXPECT_NE(captured.err.find("weights in int8 of 8."), std::string::npos) << captured.err;
  std::string line = only_error(run.train({"teacher.quantize=nf4"}));
  EXPECT_NE(line.find("teacher.quantize: is nf4, the cache "), std::string::npos) << line;
  line = only_error(run.capture({}));
  EXPECT_NE(line.find("`quantised` was int8 and is not there"), std::string::npos) << line;
  EXPECT_EQ(run.train({"teacher.quantize=int8", "train.steps=3"}).exit_code, 0);
  const CachedRun dense;
  ASSERT_EQ(dense.capture().exit_code, 0);
  EXPECT_NE(dense.hash(), run.hash());
  line = only_error(dense.train({"teacher.quantize=int8"}));
  EXPECT_NE(line.find("was captured with dense weights"), std::string::npos) << line;
}

TEST(Cache, AnotherTokenizerIsRefusedBeforeTraining) {
  const CachedRun run;
  write_small_cache(run.cache(), 3);
  const std::string line = only_error(run.train());
  EXPECT_NE(line.find("was captured with another tokenizer than that of " + tiny()),
            std::string::npos)
      << line;
  EXPECT_FALSE(fs::exists(run.run().output() / "checkpoints/step_00000001"));
}

TEST(Cache, SamplesServeForwardKlAtTheirTemperature) {
  const CachedRun run;
  ASSERT_EQ(run.capture({"teacher.form=sampled"}).exit_code, 0);
  std::string line = only_error(run.train({"loss=[{kind: reverse_kl}]"}));
  EXPECT_NE(line.find("holds samples, which serve `forward_kl` and not `reverse_kl`"),
            std::string::npos)
      << line;
  line = only_error(run.train({"loss.0.temperature=2"}));
  EXPECT_NE(line.find("loss.0.temperature: is 2, the samples of "), std::string::npos) << line;
  const auto trained = run.train({"--json", "train.steps=3"});
  ASSERT_EQ(trained.exit_code, 0) << trained.err;
  EXPECT_EQ(trained.out.find("kl_to_teacher"), std::string::npos)
      << "samples are not compared with";
  EXPECT_NE(trained.err.find("gives samples of its distribution"), std::string::npos);
}

TEST(Cache, HiddenStatesServeEveryLossAndTheWholeEvaluation) {
  const CachedRun run;
  ASSERT_EQ(run.capture({"teacher.form=hidden"}).exit_code, 0);
  EXPECT_FALSE(fs::exists(run.cache() + ".head"));
  const std::string loss = "loss=[{kind: reverse_kl, temperature: 2.0}]";
  const auto trained = run.train({"--json", loss});
  ASSERT_EQ(trained.exit_code, 0) << trained.err;
  const auto report = io::parse_json(trained.out, "report");
  const TinyRun online;
  const auto expected = online.train({"--json", loss});
  ASSERT_EQ(expected.exit_code, 0) << expected.err;
  const auto other = io::parse_json(expected.out, "report");
  for (const char* when : {"before", "after"}) {
    const auto kl = [&](const io::JsonValue& value) {
      return io::JsonCursor(value, "report").at(when).at("kl_to_teacher").as_double();
    };
    EXPECT_NEAR(kl(report) / kl(other), 1, 0.02) << when;
  }
  EXPECT_EQ(distill({"inspect", run.cache(), "--check"}).exit_code, 0);
}

TEST(Cache, ADamagedCacheIsNotCalledComplete) {
  for (const char* form : {"top_k", "hidden"}) {
    const CachedRun run;
    const std::vector<std::string> arguments = {core::concat("teacher.form=", form)};
    ASSERT_EQ(run.capture(arguments).exit_code, 0);
    const auto again = run.capture(arguments);
    EXPECT_EQ(again.exit_code, 0) << again.err;
    EXPECT_NE(again.err.find("is complete already"), std::string::npos) << again.err;
    const fs::path cache = run.cache();
    std::vector<std::string> names = {"rank_00000.signals", "index"};
    if (std::string(form) == "hidden") names.emplace_back("head.safetensors");
    for (const auto& name : names) {
      const std::string good = core::read_file(cache / name, 64 << 20);
      std::string bad = good;
      bad[bad.size() / 2] = static_cast<char>(bad[bad.size() / 2] ^ 1);
      std::ofstream(cache / name, std::ios::binary) << bad;
      const std::string line = only_error(run.capture(arguments));
      EXPECT_NE(line.find(name), std::string::npos) << line;
      EXPECT_NE(line.find("--restart"), std::string::npos) << line;
      std::ofstream(cache / name, std::ios::binary) << good;
    }
    fs::remove(cache / "rank_00000.signals");
    only_error(run.capture(arguments));
    ASSERT_EQ(run.capture({arguments[0], "--restart"}).exit_code, 0);
    EXPECT_EQ(distill({"inspect", run.cache(), "--check"}).exit_code, 0);
  }
}

TEST(Cache, FilesBesideTheFolderAreLeftAlone) {
  const CachedRun run;
  const fs::path beside = run.cache() + ".head";
  std::ofstream(beside) << "mine";
  ASSERT_EQ(run.capture({"teacher.form=hidden"}).exit_code, 0);
  EXPECT_EQ(core::read_file(beside, 100), "mine");
  for (const auto& entry : fs::directory_iterator(beside.parent_path())) {
    EXPECT_EQ(entry.path().filename().string().find(".tmp-"), std::string::npos) << entry.path();
  }
}

TEST(Cache, InspectSaysWhatItIsAndWhatIsDamaged) {
  const CachedRun run;
  ASSERT_EQ(run.capture().exit_code, 0);
  const auto good = distill({"inspect", run.cache(), "--check"});
  EXPECT_EQ(good.exit_code, 0) << good.err;
  for (const char* word : {"logit cache", "top_k", "bytes a position", "sequence length"}) {
    EXPECT_NE(good.out.find(word), std::string::npos) << word << good.out;
  }
  std::fstream file(fs::path(run.cache()) / "rank_00000.signals",
                    std::ios::binary | std::ios::in | std::ios::out);
  file.seekp(200).put('!');
  file.close();
  const auto bad = distill({"inspect", run.cache(), "--check"});
  EXPECT_EQ(bad.exit_code, 2);
  EXPECT_NE(bad.err.find("is damaged, its checksum is another one"), std::string::npos) << bad.err;
}

}  // namespace
}  // namespace distill::testing

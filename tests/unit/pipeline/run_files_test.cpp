#include "pipeline/run_files.h"

#include <algorithm>
#include <fstream>

#include <distill/core/paths.h>
#include <distill/pipeline/report_html.h>

#include "support/event_file.h"
#include "support/fake_counters.h"
#include "support/html_check.h"
#include "unit/pipeline/tiny_run.h"

namespace distill::pipeline::testing {
namespace {

using distill::testing::EventFileReader;
using distill::testing::FakeCounters;
using distill::testing::HtmlCheck;

/// What TensorBoard shows of a tag: later files stand behind earlier ones, and where a session
/// begins, all of its step and later ones is forgotten.
std::vector<std::int64_t> shown_steps(const fs::path& folder, const std::string& tag) {
  std::vector<std::int64_t> steps;
  for (const auto& path : core::list_folder(folder)) {
    const std::string bytes = read(path);
    EventFileReader reader(bytes);
    for (const auto& event : reader.all()) {
      if (event.starts) std::erase_if(steps, [&](std::int64_t s) { return s >= event.step; });
      for (const auto& [name, value] : event.scalars) {
        if (name == tag) steps.push_back(event.step);
      }
    }
  }
  return steps;
}

TEST(RunFiles, ARunHasAPageAndEventFiles) {
  TinyRun tiny;
  const RunResult result = tiny.run();
  const std::string page = read(tiny.in_run("report.html"));
  const HtmlCheck check(page);
  EXPECT_NE(page.find("KL to the teacher"), std::string::npos);
  EXPECT_EQ(page.find("could not be read"), std::string::npos);
  EXPECT_EQ(check.count("svg"), 7);  // loss, lr, norm, speed, perplexity, KL, agreement
  EXPECT_EQ(shown_steps(tiny.in_run("tensorboard"), "eval/perplexity"),
            (std::vector<std::int64_t>{0, 5, 10, 12}));
  EXPECT_EQ(shown_steps(tiny.in_run("tensorboard"), "train/loss").size(), 12u);
  EXPECT_EQ(shown_steps(tiny.in_run("tensorboard"), "train/forward_kl").size(), 12u);
  EXPECT_EQ(result.report.device, "cpu");
  EXPECT_EQ(result.report.finished.size(), 20u);
  // Made again from the files alone it is the same page.
  write_report_html({.run = tiny.in_run("")});
  EXPECT_EQ(read(tiny.in_run("report.html")), page);
}

TEST(RunFiles, AResumedRunShowsEveryStepOnce) {
  TinyRun tiny;
  EXPECT_FALSE(tiny.run_and_stop(13).empty());
  fs::remove_all(tiny.in_run("checkpoints/step_00000006"));  // as if it had been killed after 4
  ASSERT_TRUE(fs::exists(tiny.in_run("checkpoints/step_00000004")));
  tiny.run();
  std::vector<std::int64_t> all(12);
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::int64_t>(i) + 1;
  EXPECT_EQ(shown_steps(tiny.in_run("tensorboard"), "train/loss"), all);
  EXPECT_EQ(shown_steps(tiny.in_run("tensorboard"), "eval/perplexity"),
            (std::vector<std::int64_t>{0, 5, 10, 12}));
  const auto files = core::list_folder(tiny.in_run("tensorboard"));
  EXPECT_EQ(files.size(), 2u);
}

TEST(RunFiles, APageThatCannotBeMadeIsAWarning) {
  TinyRun tiny;
  tiny.run_and_stop(9);
  fs::create_directory(tiny.in_run("report.html"));
  std::ofstream(tiny.in_run("report.html") / "in_the_way") << "x";
  EXPECT_EQ(tiny.run().report.steps, 12);
  EXPECT_TRUE(fs::exists(tiny.in_run("report.json")));
  EXPECT_TRUE(tiny.log.has("report.html"));
  EXPECT_TRUE(tiny.log.has("try `distill report "));
}

double energy_at_the_end(const RunFolder& folder) {
  return measured_energy(folder.metrics()).value_or(-1);
}

TEST(RunFiles, EnergyIsSummedOverRestartsAndWhatIsRepeatedCountsOnce) {
  const TempFolder folder;
  RecordingLogger log;
  const RunFolder run(folder / "run", "name: x\n", StartPolicy::kAuto, log);
  FakeCounters counters;
  counters.add("intel-rapl:0", "package-0", 1'000'000, 1'000'000'000);
  const auto open = [&](std::int64_t restored) {
    return open_run_files(run, restored, counters.options());
  };
  auto sink = open(0);
  counters.set("intel-rapl:0", 3'000'000);
  sink->event("evaluation", {{"step", std::int64_t{0}}});
  counters.set("intel-rapl:0", 6'000'000);
  sink->step({{"step", std::int64_t{1}}});
  EXPECT_EQ(energy_at_the_end(run), 5);
  counters.set("intel-rapl:0", 9'000'000);
  sink->step({{"step", std::int64_t{2}}});
  sink.reset();
  counters.set("intel-rapl:0", 100'000'000);  // of others, between the processes
  sink = open(1);                             // step 2 is repeated
  counters.set("intel-rapl:0", 104'000'000);
  sink->step({{"step", std::int64_t{2}}});
  EXPECT_EQ(energy_at_the_end(run), 9);
  sink.reset();
  // A part that cannot be measured leaves no sum, and later ones have none either.
  open_run_files(run, 2, {.root = folder / "none"})->step({{"step", std::int64_t{3}}});
  EXPECT_EQ(energy_at_the_end(run), -1);
  open(3)->step({{"step", std::int64_t{4}}});
  EXPECT_EQ(energy_at_the_end(run), -1);
  // A run that begins again has one.
  open(0)->step({{"step", std::int64_t{1}}});
  EXPECT_EQ(energy_at_the_end(run), 2);
}

TEST(RunFiles, EnergyIsThatOfTheLastStepOrEvaluation) {
  const TempFolder folder;
  const auto energy = [&](const std::string& text) {
    std::ofstream(folder / "m", std::ios::trunc) << text;
    return measured_energy(folder / "m");
  };
  EXPECT_EQ(measured_energy(folder / "none"), std::nullopt);
  EXPECT_EQ(energy(""), std::nullopt);
  EXPECT_EQ(energy("\n"), std::nullopt);
  const std::string first = "{\"step\":1,\"energy_joules\":2.5}\n";
  EXPECT_EQ(energy(first), 2.5);
  EXPECT_EQ(energy(first + "{\"event\":\"stopped\",\"step\":1}\n"), 2.5);
  EXPECT_EQ(energy(first + "{\"event\":\"evaluation\",\"energy_joules\":4}\n"), 4.0);
  EXPECT_EQ(energy(first + "{\"step\":2}\n"), std::nullopt);  // that part was not measured
  EXPECT_EQ(energy(first + "{\"step\":2,\"energy_jou"), std::nullopt);
  EXPECT_EQ(energy(first + "\n\n"), 2.5);
}

}  // namespace
}  // namespace distill::pipeline::testing

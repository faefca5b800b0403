#include <distill/pipeline/report.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <utility>

#include <gtest/gtest.h>

#include <distill/core/files.h>
#include <distill/io/json_value.h>
#include <distill/pipeline/run_pipeline.h>
#include "support/temp_folder.h"

namespace distill::pipeline {
namespace {

eval::Evaluation evaluation(double perplexity, double kl, double agreement) {
  eval::Evaluation e;
  e.perplexity = perplexity;
  e.teacher_perplexity = 22.125;
  e.kl_to_teacher = kl;
  e.top1_agreement = agreement;
  e.tokens = 16000;
  e.student_seconds = 4;
  e.teacher_seconds = 10;
  return e;
}

Report sample() {
  Report report;
  report.name = "sample";
  report.before = evaluation(4'100'000, 12.25, 0.002);
  report.after = evaluation(103.25, 1.59, 0.44);
  report.student = {70'800'000, 141'600'000};
  report.teacher = ModelSize{134'500'000, 269'000'000};
  report.eval_tokens = 16'384;
  report.steps = 160;
  report.tokens = 81'920;
  report.seconds = 100;
  report.peak_memory_bytes = std::uint64_t{1} << 30;
  return report;
}

TEST(Report, ReadsWhatItWrites) {
  const testing::TempFolder folder;
  Report report = sample();
  report.attempt = 2;
  report.earlier_attempts = RunCosts{4096, 5.5, 70.25};
  core::write_file_atomically(folder / "report.json", to_json(report));
  const Report back = read_report(folder / "report.json");
  EXPECT_EQ(to_json(back), to_json(report));
  EXPECT_EQ(back.before->perplexity, 4'100'000);
  EXPECT_EQ(back.tokens_per_second(), 819.2);
  EXPECT_EQ(back.earlier_attempts->energy_joules, 70.25);
}

TEST(Report, APipelineCostsWhatAllItsStagesAndAttemptsDo) {
  const auto cost = [](const PipelineResult& result, const char* name) -> std::optional<double> {
    const auto value = io::parse_json(to_json(result), "report.json");
    const io::JsonCursor report(value, "report.json");
    if (!report.has(name)) return std::nullopt;
    return report.at(name).as_double();
  };
  PipelineResult result;
  for (const double energy : {1000.0, 300.0}) {
    StageOutcome& stage = result.stages.emplace_back();
    stage.report = sample();
    stage.report->energy_joules = energy;
    stage.seconds = 100;
  }
  result.stages.push_back({.kind = recipe::StageKind::kMerge, .seconds = 7});
  EXPECT_EQ(cost(result, "tokens"), 2 * 81'920);
  EXPECT_EQ(cost(result, "seconds"), 207);
  EXPECT_EQ(cost(result, "energy_joules"), 1300);
  result.stages[0].report->earlier_attempts = RunCosts{80, 20, 50};
  EXPECT_EQ(cost(result, "tokens"), 2 * 81'920 + 80);
  EXPECT_EQ(cost(result, "seconds"), 227);
  EXPECT_EQ(cost(result, "energy_joules"), 1350);
  PipelineResult failed = result;
  failed.stopped = "the disk is full";
  failed.stages.push_back({.seconds = 3, .earlier_attempts = RunCosts{10, 4, 5}});
  EXPECT_EQ(cost(failed, "tokens"), 2 * 81'920 + 90);
  EXPECT_EQ(cost(failed, "seconds"), 234);
  EXPECT_EQ(cost(failed, "energy_joules"), std::nullopt) << "who knows what the last took";
  PipelineResult cached = result;
  cached.stages.push_back({.kind = recipe::StageKind::kCache, .seconds = 3});
  EXPECT_EQ(cost(cached, "energy_joules"), std::nullopt) << "a teacher's is not measured";
  result.stages[1].report->energy_joules.reset();
  EXPECT_EQ(cost(result, "energy_joules"), std::nullopt) << "less than it was";
}

TEST(Report, ATeachersTopIdsHaveAFigureOfTheirOwn) {
  const testing::TempFolder folder;
  Report report = sample();
  report.teacher.reset();
  for (auto* e : {&*report.before, &*report.after}) {
    e->top_k_kl_to_teacher = std::exchange(e->kl_to_teacher, std::nullopt);
    e->teacher_perplexity.reset();
  }
  core::write_file_atomically(folder / "report.json", to_json(report));
  EXPECT_EQ(to_json(read_report(folder / "report.json")), to_json(report));
  const std::string table = report_table(report);
  EXPECT_NE(table.find("KL to its top ids"), std::string::npos);
  EXPECT_EQ(table.find("KL to the teacher"), std::string::npos);
  EXPECT_NE(table.find("top-1 agreement"), std::string::npos);
}

TEST(Report, NumbersThatAreNotFiniteSurvive) {
  const testing::TempFolder folder;
  Report report = sample();
  report.before->perplexity = std::numeric_limits<double>::infinity();
  core::write_file_atomically(folder / "report.json", to_json(report));
  EXPECT_TRUE(std::isnan(read_report(folder / "report.json").before->perplexity));
  EXPECT_NE(report_table(report).find("not finite"), std::string::npos);
}

TEST(Report, DamagedOnesAreRefused) {
  const testing::TempFolder folder;
  const std::string text = to_json(sample());
  for (std::size_t length = 0; length + 3 < text.size(); length += 7) {
    std::ofstream(folder / "report.json", std::ios::trunc) << text.substr(0, length);
    EXPECT_THROW(read_report(folder / "report.json"), FormatError) << length;
  }
  std::string other = text;
  other.replace(other.find("\"steps\": 160"), 12, "\"steps\": -16");
  std::ofstream(folder / "report.json", std::ios::trunc) << other;
  EXPECT_THROW(read_report(folder / "report.json"), FormatError);
}

TEST(Report, TableForPeople) {
  EXPECT_EQ(report_table(sample()),
            "                      teacher   student before   student after\n"
            "perplexity              22.12        4,100,000           103.2\n"
            "KL to the teacher           0           12.250           1.590\n"
            "top-1 agreement       100.0 %            0.2 %          44.0 %\n"
            "parameters            134.5 M           70.8 M          70.8 M\n"
            "size                256.5 MiB        135.0 MiB       135.0 MiB\n"
            "tokens/s, reading       1,638            4,096           4,096\n"
            "\n"
            "81,920 tokens in 1 min 40 s (819 tokens/s), peak memory 1.0 GiB\n");
}

TEST(Report, TableWithoutTeacherOrEvaluation) {
  Report report = sample();
  report.teacher.reset();
  report.before.reset();
  report.after.reset();
  report.skipped_steps = 2;
  const std::string table = report_table(report);
  EXPECT_EQ(table.find("teacher"), std::string::npos);
  EXPECT_EQ(table.find("perplexity"), std::string::npos);
  EXPECT_NE(table.find("2 of 160 steps were skipped"), std::string::npos);
}

}  // namespace
}  // namespace distill::pipeline

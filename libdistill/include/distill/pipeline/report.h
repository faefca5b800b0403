#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <distill/core/error.h>
#include <distill/data/report.h>
#include <distill/eval/evaluate.h>
#include <distill/eval/set_summary.h>
#include <distill/models/quantization.h>
#include <distill/pipeline/forgetting_reaction.h>
#include <distill/recipe/gate.h>

namespace distill::pipeline {

/// A model in numbers.
struct ModelSize {
  std::int64_t parameters = 0;
  std::uint64_t bytes = 0;  ///< of its weights, in the run's precision
};

/// A gate held against what a run measured.
struct GateResult {
  std::string require;  ///< as the recipe has it
  double value = 0;     ///< NaN: it was not measured
  bool holds = false;
  recipe::OnFailure on_failure = recipe::OnFailure::kStop;
};

/// A set of the recipe measured on the student before and after training, and on its teacher.
struct SetReport {
  std::string name;
  std::optional<eval::SetSummary> before = {};
  std::optional<eval::SetSummary> after = {};
  std::optional<eval::SetSummary> teacher = {};
  std::optional<eval::SetSummary> change = {};  ///< after minus before, over the same rows
  std::optional<eval::SetSummary> gap = {};     ///< after minus the teacher, over the same rows
};

/// What `forgetting` came to.
struct ForgettingReport {
  double max_drop = 0;
  std::vector<std::pair<std::string, double>> drops;  ///< of each set, at the last look
  bool within_limit = true;                           ///< then
  std::vector<ForgettingReaction> reactions;
};

/// What training took.
struct RunCosts {
  std::int64_t tokens = 0;
  double seconds = 0;
  std::optional<double> energy_joules = {};  ///< absent where a part of it was not measured

  RunCosts& operator+=(const RunCosts& other);
};

/// What a run came to: report.json.
struct Report {
  std::string name;
  std::optional<eval::Evaluation> before;  ///< absent without `data.eval` or `evaluate.at_start`
  std::optional<eval::Evaluation> after;
  std::vector<SetReport> sets;  ///< of `evaluate.sets`
  std::optional<ForgettingReport> forgetting;
  std::int64_t trained_parameters = 0;               ///< of the student, or of its adapters
  std::optional<models::Quantization> quantization;  ///< of the student's frozen weights
  std::int64_t eval_tokens = 0;                      ///< input tokens of one evaluation
  ModelSize student;
  std::optional<ModelSize> teacher;
  std::optional<data::DataReport> train_data;  ///< absent in reports of before there was one
  std::int64_t steps = 0;
  std::int64_t skipped_steps = 0;
  std::int64_t tokens = 0;              ///< input tokens trained on
  double seconds = 0;                   ///< of training, earlier parts of the run included
  std::uint64_t peak_memory_bytes = 0;  ///< largest resident size of the last process
  std::vector<GateResult> gates = {};
  std::int64_t attempt = 1;                ///< more: gates asked for further tries
  std::vector<std::string> settings = {};  ///< overrides of this attempt
  /// That a gate had repeated; not in `tokens`, `seconds` and `energy_joules`.
  std::optional<RunCosts> earlier_attempts = {};
  std::string stopped = {};   ///< why the run ended without final/; empty: it has one
  std::string device = {};    ///< that it was trained on; empty in old reports
  std::string finished = {};  ///< when, as `2026-01-31T12:00:00Z`; empty in old reports
  /// That the machine's processor packages used, of evaluations and training in all parts of the
  /// run; absent where it could not be measured.
  std::optional<double> energy_joules;

  double tokens_per_second() const {
    return seconds > 0 ? static_cast<double>(tokens) / seconds : 0;
  }
};

/// Of the attempt that counts.
RunCosts costs_of(const Report& report);

/// `{"before": {"perplexity": ..., "kl_to_teacher": ..., "top1_agreement": ...}, "after": ...,
/// ...}`
std::string to_json(const Report& report);
/// Throws FormatError when it is not a report.
Report read_report(const std::filesystem::path& path);

std::string to_json(const eval::Evaluation& evaluation);
/// An evaluation in a file of its own, so that a resumed run need not repeat it.
void write_evaluation(const std::filesystem::path& path, const eval::Evaluation& evaluation);
eval::Evaluation read_evaluation(const std::filesystem::path& path);

/// Throws FormatError when what is kept of sets (docs/formats/run_folder.md) is damaged.
void check_set_results(const std::filesystem::path& path);

/// Teacher, student before and student after side by side, for people.
std::string report_table(const Report& report);

}  // namespace distill::pipeline

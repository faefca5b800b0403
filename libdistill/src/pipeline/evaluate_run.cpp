#include "pipeline/evaluate_run.h"

#include <distill/core/error.h>
#include <distill/core/files.h>
#include <distill/core/memory.h>
#include <distill/core/progress.h>
#include <distill/dist/communicator.h>
#include <distill/recipe/wiring.h>

#include "pipeline/gates.h"
#include "pipeline/tokenizing_progress.h"

namespace distill::pipeline {

namespace {

void stop_if_asked(const RunOptions& options, const std::filesystem::path& folder) {
  if (options.stop == nullptr || !options.stop->requested()) return;
  fail<Interrupted>(folder.string(), ": stopped by signal ", options.stop->reason(),
                    " while evaluating; run the same command again");
}

eval::Evaluation measure(recipe::MeasuredModels& models, const recipe::DataParts& data,
                         const RunOptions& options, const std::filesystem::path& folder,
                         core::Logger& log) {
  core::ProgressBar bar(bar_options("evaluating", options, log));
  eval::EvaluateOptions how;
  how.stop = options.stop;
  how.on_progress = [&bar](std::int64_t done, std::int64_t total) {
    bar.update(static_cast<double>(done), static_cast<double>(total), "");
  };
  const auto ranks = dist::make_single();
  // Distributions over other ids cannot be compared.
  teachers::Teacher* teacher = data.across_tokenizers ? nullptr : models.teacher.get();
  try {
    return eval::evaluate(*models.student, teacher, *data.eval, *ranks, how);
  } catch (const eval::Stopped&) {
    stop_if_asked(options, folder);
    throw;
  }
}

}  // namespace

Report evaluate_recipe(const recipe::Recipe& recipe, const std::filesystem::path& folder,
                       const RunOptions& options, core::Logger& log) {
  const recipe::PlannedModels plan = recipe::plan_models(recipe);
  recipe::DataParts data;
  {
    TokenizingProgress progress(options, log);
    data = recipe::load_data(recipe, plan, log,
                             progress.hooks([&] { stop_if_asked(options, folder); }));
  }
  recipe::MeasuredModels models =
      recipe::load_to_measure(recipe, plan, log, options.available_memory,
                              {.stop = options.stop, .secret = options.secret});
  Report report;
  report.name = recipe.name;
  report.after = measure(models, data, options, folder, log);
  report.eval_tokens = data.eval->num_tokens();
  report.student.parameters = models.student->shape().num_parameters;
  report.student.bytes = static_cast<std::uint64_t>(report.student.parameters) *
                         c10::elementSize(recipe::dtype_of(recipe.precision));
  report.gates = judge(recipe, report);
  report.peak_memory_bytes = core::peak_memory();
  core::write_file_atomically(folder / "report.json", to_json(report));
  for (const GateResult& gate : report.gates) {
    log.write(gate.holds ? core::LogLevel::kInfo : core::LogLevel::kWarning, gate_line(gate));
  }
  if (const GateResult* failed = deciding_gate(report.gates)) {
    fail<Error>(folder.string(), ": ", gate_line(*failed),
                "; change the recipe, or loosen the gate, and run the same command again");
  }
  return report;
}

}  // namespace distill::pipeline

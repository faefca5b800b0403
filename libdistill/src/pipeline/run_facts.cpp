#include "pipeline/run_facts.h"

#include <distill/core/strings.h>

namespace distill::pipeline {

namespace {

ModelSize size_of(const models::CausalLm& model, std::uint64_t width) {
  const std::int64_t parameters = model.shape().num_parameters;
  ModelSize held{parameters, static_cast<std::uint64_t>(parameters) * width};
  const models::Quantization* quantized = model.quantization();
  if (quantized != nullptr) held.bytes -= quantized->dense_bytes - quantized->bytes;
  return held;
}

void fill(const RunFacts& facts, Report& report) {
  const recipe::ModelParts& models = facts.models;
  const std::uint64_t width = c10::elementSize(recipe::dtype_of(facts.recipe.precision));
  report.name = facts.recipe.name;
  report.train_data = facts.data.train->report();
  if (facts.data.eval) report.eval_tokens = facts.data.eval->num_tokens();
  report.student = size_of(*models.student, width);
  if (const models::Quantization* quantized = models.student->quantization()) {
    report.quantization = *quantized;
  }
  if (models.teacher_model) report.teacher = size_of(*models.teacher_model, width);
  report.trained_parameters = -models.num_loss_parameters;
  for (const auto& parameter : models.trainable) {
    report.trained_parameters += parameter.tensor.numel();
  }
}

}  // namespace

void describe_run(const RunFacts& facts, Report& report, core::Logger& log) {
  fill(facts, report);
  const recipe::ModelParts& models = facts.models;
  log.info("device: ", facts.plan.device.str());
  log.info("student: ", models.student->shape().num_layers, " layers, ",
           core::with_thousands(report.student.parameters), " parameters, ",
           core::with_thousands(report.trained_parameters),
           facts.plan.adapters.empty() ? " of them trained" : " of adapters trained beside them");
  if (models.num_loss_parameters > 0) {
    log.info("loss: ", core::with_thousands(models.num_loss_parameters),
             " parameters of its own, which the final model does not have");
  }
  log.info("data: ", core::with_thousands(facts.data.train->num_rows()), " rows, ",
           core::with_thousands(facts.data.train->num_tokens()), " tokens; ", facts.steps,
           " steps of ", facts.recipe.train.batch_size, " rows");
}

}  // namespace distill::pipeline

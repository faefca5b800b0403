#include "commands/evaluate_set.h"

#include <distill/dist/communicator.h>
#include <distill/eval/evaluation_set.h>
#include <distill/models/load.h>
#include <distill/text/tokenizer.h>

namespace distill::commands {

namespace {

eval::SetResult measure(models::CausalLm& model, const std::filesystem::path& folder,
                        const EvaluateCommandOptions& options, core::Logger& log) {
  const auto tokenizer = text::load_tokenizer(folder);
  const eval::SetSource source{
      options.task == "bias" ? eval::SetTask::kBias : eval::SetTask::kChoice, options.data,
      options.max_rows};
  const auto set = eval::EvaluationSet::load(source,
                                             {.rows = {.tokenizer = *tokenizer},
                                              .max_positions = model.shape().max_positions,
                                              .sequence_length = options.sequence_length},
                                             log);
  log.info(folder.string(), ": measuring ", set.num_rows(), set.num_rows() == 1 ? " row" : " rows");
  const auto ranks = dist::make_single();
  return set.measure(model, *ranks, {});
}

}  // namespace

SetComparison evaluate_set(const EvaluateCommandOptions& options, core::Logger& log) {
  auto model = load_model(options.source, log);
  const eval::SetResult student = measure(*model, options.source.model, options, log);
  model.reset();
  SetComparison sets{eval::summarise(student)};
  if (options.teacher.empty()) return sets;
  const auto teacher_model = models::load_causal_lm(
      options.teacher, {.dtype = options.source.dtype,
                        .device = recipe::choose_device(options.source.device),
                        .available_memory = options.source.available_memory});
  const eval::SetResult teacher = measure(*teacher_model, options.teacher, options, log);
  sets.teacher = eval::summarise(teacher);
  sets.difference = eval::compare(student, teacher);
  return sets;
}

}  // namespace distill::commands

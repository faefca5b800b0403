#include <distill/commands/evaluate.h>

#include <ostream>

#include <distill/core/error.h>
#include <distill/core/json_writer.h>
#include <distill/core/strings.h>
#include <distill/core/table.h>
#include <distill/data/batch_source.h>
#include <distill/dist/communicator.h>
#include <distill/eval/evaluate.h>
#include <distill/models/load.h>
#include <distill/teachers/local_teacher.h>
#include <distill/text/chat_template.h>
#include <distill/text/tokenizer.h>

#include "commands/evaluate_set.h"

namespace distill::commands {

namespace {

std::shared_ptr<const data::Dataset> load_data(const EvaluateCommandOptions& options,
                                               const text::Tokenizer& tokenizer,
                                               core::Logger& log) {
  data::DataOptions data_options;
  data_options.sequence_length = options.sequence_length;
  data_options.min_packing_use = 0;  // documents stay whole, as in a run's evaluation
  std::vector<data::DataFile> files;
  for (const auto& path : options.data) files.push_back({path, 1.0});
  const auto chat = text::load_chat_template(options.source.model, options.chat_template);
  const auto dataset = data::Dataset::load(files, data_options, tokenizer, chat.get(), log);
  return options.max_rows > 0 ? dataset->first_rows(options.max_rows) : dataset;
}

void require_same_tokenizer(const EvaluateCommandOptions& options,
                            const text::Tokenizer& tokenizer) {
  if (options.teacher.empty()) return;
  const auto own = text::load_tokenizer(options.teacher);
  if (own->fingerprint() == tokenizer.fingerprint()) return;
  fail<InputError>(options.teacher.string(), ": its tokenizer differs from that of ",
                   options.source.model.string(),
                   ", and KL and agreement compare token by token; leave out --teacher, or use "
                   "--task choice or bias, where each model reads with its own");
}

std::unique_ptr<teachers::Teacher> load_teacher(const EvaluateCommandOptions& options,
                                                at::Device device) {
  if (options.teacher.empty()) return nullptr;
  return teachers::make_local_teacher(
      models::load_causal_lm(options.teacher,
                             {.dtype = options.source.dtype,
                              .device = device,
                              .available_memory = options.source.available_memory}),
      options.teacher.string());
}

void write_json(const eval::Evaluation& result, std::ostream& out) {
  core::JsonWriter json;
  json.begin_object().member("tokens", result.tokens).member("perplexity", result.perplexity);
  if (result.teacher_perplexity) json.member("teacher_perplexity", *result.teacher_perplexity);
  if (result.kl_to_teacher) json.member("kl_to_teacher", *result.kl_to_teacher);
  if (result.top_k_kl_to_teacher) {
    json.member("top_k_kl_to_teacher", *result.top_k_kl_to_teacher);
  }
  if (result.top1_agreement) json.member("top1_agreement", *result.top1_agreement);
  json.member("seconds", result.student_seconds);
  out << json.end_object().text() << '\n';
}

void write_table(const eval::Evaluation& result, std::ostream& out) {
  core::Table table;
  table.add({"perplexity", core::fixed(result.perplexity, 2)});
  const auto optional = [&table](const char* name, std::optional<double> value, int digits) {
    if (value) table.add({name, core::fixed(*value, digits)});
  };
  optional("teacher's perplexity", result.teacher_perplexity, 2);
  optional("KL to the teacher", result.kl_to_teacher, 4);
  optional("KL to the teacher's top ids, at least", result.top_k_kl_to_teacher, 4);
  optional("top-1 agreement", result.top1_agreement, 4);
  table.add({"tokens", core::with_thousands(result.tokens)});
  out << table.text("  ");
}

}  // namespace

void evaluate_model(const EvaluateCommandOptions& options, std::ostream& out, core::Logger& log) {
  if (options.task == "agreement" && options.teacher.empty()) {
    fail<InputError>("--task agreement: compares with a teacher; give --teacher DIR");
  }
  const at::Device device = recipe::choose_device(options.source.device);
  if (options.task == "choice" || options.task == "bias") {
    const SetComparison sets = evaluate_set(options, log);
    out << (options.json ? set_json(sets) : set_table(sets));
    return;
  }
  const auto tokenizer = text::load_tokenizer(options.source.model);
  require_same_tokenizer(options, *tokenizer);
  const auto dataset = load_data(options, *tokenizer, log);
  const auto teacher = load_teacher(options, device);
  const auto model = load_model(options.source, log);
  const auto ranks = dist::make_single();
  const auto result = eval::evaluate(*model, teacher.get(), *dataset, *ranks, {});
  options.json ? write_json(result, out) : write_table(result, out);
}

}  // namespace distill::commands

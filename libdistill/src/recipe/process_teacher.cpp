#include "recipe/process_teacher.h"

#include <distill/core/error.h>
#include <distill/core/strings.h>
#include <distill/dist/channel.h>
#include <distill/teachers/process_teacher.h>
#include <distill/text/tokenizer.h>

namespace distill::recipe {

namespace {

std::string place_of(const ProcessTeacherOptions& options) {
  return options.shared ? core::concat("shared memory `", *options.shared, "`") : *options.address;
}

std::unique_ptr<dist::Channel> connect(const ProcessTeacherOptions& options,
                                       const TeacherContext& context) {
  const core::StopFlag* stop = context.surroundings.stop;
  const dist::ConnectOptions how{options.timeout_seconds,
                                 [stop] { return stop != nullptr && stop->requested(); },
                                 {.gone_seconds = options.timeout_seconds}};
  context.log.info("looking for the teacher at ", place_of(options));
  return options.shared ? dist::connect_shared(*options.shared, how)
                        : dist::connect_c10d(*options.address, how);
}

/// Ids must mean the same to both. With `tokenizer` the preflight has compared that folder with the
/// student's; here it must be the teacher's own.
void check_tokenizer(const io::TeacherFacts& facts, const ProcessTeacherOptions& options,
                     const TeacherContext& context) {
  const auto student = text::load_tokenizer(context.student_folder);
  if (facts.vocabulary < student->vocab_size()) {
    fail<ConfigError>("teacher: ", facts.model, " has ", facts.vocabulary,
                      " ids, the tokenizer of ", context.student_folder.string(), " has ",
                      student->vocab_size());
  }
  if (options.tokenizer) {
    if (text::load_tokenizer(*options.tokenizer)->fingerprint() == facts.tokenizer) return;
    fail<ConfigError>("teacher.tokenizer: ", *options.tokenizer, " is not the tokenizer of ",
                      facts.model, ", which the teacher's process has; give the folder of that");
  }
  if (student->fingerprint() == facts.tokenizer) return;
  fail<ConfigError>("teacher: ", facts.model, " has another tokenizer than ",
                    context.student_folder.string(),
                    "; where its ids mean the same give its folder as `teacher.tokenizer`, else "
                    "use a pair with one tokenizer");
}

void check_facts(const io::TeacherFacts& facts, const ProcessTeacherOptions& options,
                 const TeacherContext& context) {
  check_tokenizer(facts, options, context);
  if (context.sequence_length > facts.max_positions) {
    fail<ConfigError>("data.sequence_length: ", context.sequence_length, ", but ", facts.model,
                      ", which the teacher's process has, reads ", facts.max_positions,
                      " positions; use shorter rows");
  }
  if (facts.dtype != (context.precision == Precision::kBf16 ? "bf16" : "fp32")) {
    context.log.info("the teacher computes in ", facts.dtype, ", the student does not");
  }
}

}  // namespace

std::unique_ptr<teachers::Teacher> make_process(const ProcessTeacherOptions& options,
                                                const TeacherContext& context) {
  teachers::ProcessTeacherOptions own;
  own.where = place_of(options);
  own.timeout_seconds = options.timeout_seconds;
  own.check = [&](const io::TeacherFacts& facts) { check_facts(facts, options, context); };
  return std::make_unique<teachers::ProcessTeacher>(connect(options, context), std::move(own),
                                                    context.surroundings.stop);
}

}  // namespace distill::recipe

#include <algorithm>
#include <utility>

#include <distill/core/error.h>
#include <distill/models/load.h>
#include <distill/recipe/registries.h>
#include <distill/recipe/several_teachers.h>
#include <distill/teachers/base_teacher.h>
#include <distill/teachers/cache_teacher.h>
#include <distill/teachers/chunk_server_teacher.h>
#include <distill/teachers/local_teacher.h>
#include <distill/teachers/server_teacher.h>
#include <distill/text/tokenizer.h>

#include "recipe/process_teacher.h"
#include "recipe/served_tokenizer.h"

namespace distill::recipe {

namespace {

std::unique_ptr<teachers::Teacher> make_local(const LocalTeacherOptions& options,
                                              const TeacherContext& context) {
  auto model = context.loaded;
  if (!model) {
    models::LoadOptions load;
    load.dtype = dtype_of(context.precision);
    load.device = context.device;
    load.quantize = options.quantize;
    model = models::load_causal_lm(options.model, load);
  }
  return teachers::make_local_teacher(std::move(model), options.model);
}

std::unique_ptr<teachers::Teacher> make_base(const BaseTeacherOptions&,
                                             const TeacherContext& context) {
  if (!context.student || context.student->adapter_switch() == nullptr) {
    fail<ConfigError>(
        "teacher.kind: `base` is the student without its adapters; it needs "
        "`student.lora`");
  }
  return teachers::make_base_teacher(context.student);
}

std::unique_ptr<teachers::Teacher> make_cache(const CacheTeacherOptions& options,
                                              const TeacherContext&) {
  return teachers::make_cache_teacher(std::make_shared<io::LogitCache>(options.path));
}

/// Not shown: a key that was given in place of a name.
std::string api_key(const std::string& variable, const SecretSource& secret) {
  if (variable.empty()) return "";
  std::string key = secret ? secret(variable) : "";
  if (!key.empty()) return key;
  fail<ConfigError>(
      "teacher.api_key_env: the environment variable that it names is not set; set it to the "
      "server's key");
}

teachers::ServerOptions address_of(const ServerTeacherOptions& options,
                                   const TeacherContext& context) {
  teachers::ServerOptions server{
      .url = options.url,
      .model = options.model,
      .api_key = api_key(options.api_key_env, context.surroundings.secret),
      .timeout_seconds = options.timeout_seconds,
      .parallel = options.parallel};
  server.retry.max_retries = options.retries;
  return server;
}

std::unique_ptr<teachers::ServerTeacher> call_server(const teachers::ServerTeacherOptions& server,
                                                     const TeacherContext& context) {
  return std::make_unique<teachers::ServerTeacher>(server, context.log, context.surroundings.stop);
}

/// A served model that reads the text in its own tokens.
std::unique_ptr<teachers::Teacher> make_chunk_server(const ServerTeacherOptions& options,
                                                     teachers::ServerTeacherOptions server,
                                                     const TeacherContext& context) {
  // Only the probe asks for so many: as many as vLLM gives without further ado.
  constexpr std::int64_t kOfProbe = 20;
  if (!options.tokenizer) fail<ConfigError>("teacher.tokenizer: names no folder");
  const auto tokenizer = text::load_tokenizer(*options.tokenizer);
  const std::int64_t longest = most_sent_tokens(options, context.sequence_length);
  server.own_tokens = true;
  server.vocabulary = tokenizer->vocab_size();
  server.top_k = std::min({options.top_k, kOfProbe, server.vocabulary});
  server.probe = probe_of(*tokenizer, longest);
  teachers::check_score_size(longest, 1);
  auto teacher = call_server(server, context);
  check_served_length(*teacher, longest, "teacher.max_tokens");
  check_served_tokenizer(
      *teacher, {.tokenizer = *tokenizer, .folder = *options.tokenizer, .own = true}, context.log);
  return teachers::make_chunk_server_teacher(std::move(teacher));
}

std::unique_ptr<teachers::Teacher> make_server(const ServerTeacherOptions& options,
                                               const TeacherContext& context) {
  teachers::ServerTeacherOptions server;
  server.server = address_of(options, context);
  server.api = options.api;
  server.check_seconds = options.check_seconds;
  server.max_drift = options.max_drift;
  if (context.across_tokenizers) return make_chunk_server(options, std::move(server), context);
  const auto tokenizer = text::load_tokenizer(context.student_folder);
  server.top_k = options.top_k;
  server.vocabulary = tokenizer->vocab_size();
  if (context.student) {
    server.vocabulary = std::min(server.vocabulary, context.student->shape().vocab_size);
  }
  server.probe = probe_of(*tokenizer, context.sequence_length);
  teachers::check_score_size(context.sequence_length, server.top_k);
  auto teacher = call_server(server, context);
  check_served_length(*teacher, context.sequence_length);
  check_served_tokenizer(
      *teacher, {*tokenizer, context.student_folder, options.tokenizer.has_value()}, context.log);
  return teacher;
}

}  // namespace

void add_builtin_teachers(TeacherRegistry& registry) {
  registry.add<LocalTeacherOptions>("local", make_local);
  registry.add<BaseTeacherOptions>("base", make_base);
  registry.add<CacheTeacherOptions>("cache", make_cache);
  registry.add<ProcessTeacherOptions>("process", make_process);
  registry.add<SeveralTeachersOptions>("several", make_several);
  registry.add<ServerTeacherOptions>("server", make_server);
  registry.add<NoTeacherOptions>(
      "none",
      [](const NoTeacherOptions&, const TeacherContext&) -> teachers::Teacher* { return nullptr; });
}

}  // namespace distill::recipe

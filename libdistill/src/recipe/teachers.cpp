#include <algorithm>

#include <distill/core/error.h>
#include <distill/models/load.h>
#include <distill/recipe/registries.h>
#include <distill/recipe/several_teachers.h>
#include <distill/teachers/base_teacher.h>
#include <distill/teachers/cache_teacher.h>
#include <distill/teachers/local_teacher.h>
#include <distill/teachers/server_teacher.h>
#include <distill/text/tokenizer.h>

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

std::unique_ptr<teachers::Teacher> make_server(const ServerTeacherOptions& options,
                                               const TeacherContext& context) {
  const auto tokenizer = text::load_tokenizer(context.student_folder);
  teachers::ServerTeacherOptions server;
  server.server = {.url = options.url,
                   .model = options.model,
                   .api_key = api_key(options.api_key_env, context.surroundings.secret),
                   .timeout_seconds = options.timeout_seconds,
                   .parallel = options.parallel};
  server.server.retry.max_retries = options.retries;
  server.api = options.api;
  server.top_k = options.top_k;
  server.vocabulary = tokenizer->vocab_size();
  if (context.student) {
    server.vocabulary = std::min(server.vocabulary, context.student->shape().vocab_size);
  }
  server.probe = probe_of(*tokenizer, context.sequence_length);
  teachers::check_score_size(context.sequence_length, server.top_k);
  server.check_seconds = options.check_seconds;
  server.max_drift = options.max_drift;
  auto teacher =
      std::make_unique<teachers::ServerTeacher>(server, context.log, context.surroundings.stop);
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
  registry.add<SeveralTeachersOptions>("several", make_several);
  registry.add<ServerTeacherOptions>("server", make_server);
  registry.add<NoTeacherOptions>(
      "none",
      [](const NoTeacherOptions&, const TeacherContext&) -> teachers::Teacher* { return nullptr; });
}

}  // namespace distill::recipe

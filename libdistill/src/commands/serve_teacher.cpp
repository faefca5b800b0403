#include <distill/commands/serve_teacher.h>

#include <ostream>

#include <ATen/Parallel.h>

#include <distill/core/error.h>
#include <distill/core/hash.h>
#include <distill/core/json_writer.h>
#include <distill/core/strings.h>
#include <distill/core/table.h>
#include <distill/dist/channel.h>
#include <distill/io/safetensors.h>
#include <distill/models/fingerprint.h>
#include <distill/teachers/local_teacher.h>
#include <distill/teachers/teacher_service.h>
#include <distill/text/tokenizer.h>

namespace distill::commands {

namespace {

/// Of all that decides its answers but the dtype.
std::string fingerprint_of(const ServeTeacherOptions& options) {
  std::string all = core::concat(models::fingerprint(options.source.model), "\n",
                                 core::hash_file(options.source.model / "config.json"));
  if (options.source.quantize) all += core::concat("\n", ops::name_of(*options.source.quantize));
  if (!options.source.adapter.folder.empty()) {
    for (const char* file : {"adapter_config.json", "adapter_model.safetensors"}) {
      all += core::concat("\n", core::hash_file(options.source.adapter.folder / file));
    }
  }
  return core::hash_text(all);
}

std::unique_ptr<dist::Listener> listen(const ServeTeacherOptions& options) {
  if (options.shared.empty() == options.listen.empty()) {
    fail<InputError>(
        "a teacher needs --shared NAME (this machine) or --listen HOST:PORT, not both");
  }
  return options.shared.empty() ? dist::listen_c10d(options.listen)
                                : dist::listen_shared(options.shared);
}

io::TeacherFacts facts_of(const ServeTeacherOptions& options, const models::CausalLm& model) {
  io::TeacherFacts facts;
  facts.model = options.source.model.string();
  if (!options.source.adapter.folder.empty())
    facts.model += " + " + options.source.adapter.folder.string();
  facts.weights = fingerprint_of(options);
  facts.tokenizer = text::load_tokenizer(options.source.model)->fingerprint();
  facts.max_positions = model.shape().max_positions;
  facts.parameters = model.shape().num_parameters;
  return facts;
}

void print_json(const teachers::ServiceCounts& counts, std::ostream& out) {
  core::JsonWriter json;
  json.begin_object()
      .member("students", counts.students)
      .member("requests", counts.requests)
      .member("tokens", counts.tokens)
      .member("positions", counts.positions)
      .member("bytes", counts.bytes)
      .member("head_bytes", counts.head_bytes)
      .member("logit_bytes", counts.logit_bytes)
      .member("seconds_computing", counts.seconds_computing)
      .member("seconds_waiting", counts.seconds_waiting);
  out << json.end_object().text() << '\n';
}

void print(const teachers::ServiceCounts& counts, std::ostream& out) {
  using core::human_bytes;
  using core::with_thousands;
  const double saved = counts.bytes == 0 ? 0
                                         : static_cast<double>(counts.logit_bytes) /
                                               static_cast<double>(counts.bytes);
  out << with_thousands(counts.tokens) << " tokens in " << with_thousands(counts.requests)
      << " batches; " << human_bytes(counts.bytes) << " of hidden states for "
      << with_thousands(counts.positions) << " positions and " << human_bytes(counts.head_bytes)
      << " of head handed over, logits would have been " << human_bytes(counts.logit_bytes) << " ("
      << core::fixed(saved, 1) << " times the states); computed "
      << core::human_seconds(counts.seconds_computing) << ", waited "
      << core::human_seconds(counts.seconds_waiting) << '\n';
}

}  // namespace

void serve_teacher(const ServeTeacherOptions& options, std::ostream& out, core::Logger& log) {
  if (options.threads > 0) at::set_num_threads(static_cast<int>(options.threads));
  // First: a name that is taken is told at once, and students that come early hear that it lives.
  const auto listener = dist::accept_in_background(listen(options));
  const at::Device device = recipe::choose_device(options.source.device);
  const auto model = load_model(options.source, log);
  teachers::ServiceOptions service;
  service.facts = facts_of(options, *model);
  service.device = device;
  service.stay = options.stay;
  const auto teacher = teachers::make_local_teacher(model, options.source.model.string());
  log.info("teacher: ", teacher->describe(), ", waiting for students at ", listener->describe());
  const auto counts = teachers::serve_teacher(*teacher, *listener, service, log, options.stop);
  if (options.json) return print_json(counts, out);
  print(counts, out);
}

}  // namespace distill::commands

#include <distill/commands/choose_layers.h>

#include <algorithm>
#include <ostream>
#include <string>

#include <distill/core/error.h>
#include <distill/core/json_writer.h>
#include <distill/core/strings.h>
#include <distill/core/table.h>
#include <distill/data/batch_stream.h>
#include <distill/data/dataset.h>
#include <distill/models/check.h>
#include <distill/models/choose_layers.h>
#include <distill/models/memory.h>
#include <distill/recipe/wiring.h>
#include <distill/text/chat_template.h>
#include <distill/text/tokenizer.h>
#include <distill/types/joined_input.h>

namespace distill::commands {

namespace {

std::shared_ptr<const data::Dataset> load_data(const ChooseLayersCommandOptions& options,
                                               core::Logger& log) {
  const auto tokenizer = text::load_tokenizer(options.source.model);
  const auto chat = text::load_chat_template(options.source.model, options.chat_template);
  std::vector<data::DataFile> files;
  for (const auto& path : options.data) files.push_back({path, 1.0});
  data::DataOptions rows;
  rows.sequence_length = options.sequence_length;
  return data::Dataset::load(files, rows, *tokenizer, chat.get(), log);
}

/// About `tokens` of the data, in the order in which a training would read it.
types::ModelInput some_texts(std::shared_ptr<const data::Dataset> dataset, std::int64_t tokens,
                             at::Device device) {
  const std::int64_t rows = dataset->num_rows();
  data::BatchStream batches(std::move(dataset), {.prefetch = 0});
  std::vector<types::ModelInput> inputs;
  std::int64_t read = 0;
  for (std::int64_t row = 0; row < rows && read < tokens; ++row) {
    inputs.push_back(types::moved_to(batches.next(), device).input);
    read += inputs.back().input_ids.size(0);
  }
  return types::joined(inputs);
}

std::string list_of(const std::vector<std::int64_t>& layers) {
  std::string text = "[";
  for (const std::int64_t layer : layers) {
    if (text.size() > 1) text += ", ";
    text += std::to_string(layer);
  }
  return text + "]";
}

/// Says each tenth of the way.
class Told {
 public:
  explicit Told(core::Logger& log) : log_(log) {}

  void operator()(const models::ChooseLayersProgress& now) {
    constexpr std::int64_t kParts = 10;
    const std::int64_t part = now.done * kParts / std::max<std::int64_t>(now.of, 1);
    if (part > parts_) log_.info("gaps measured: ", now.done, " of ", now.of);
    parts_ = std::max(parts_, part);
  }

 private:
  core::Logger& log_;
  std::int64_t parts_ = 0;
};

void write_json(const models::ChosenLayers& chosen, std::ostream& out) {
  core::JsonWriter json;
  const auto choice = [&json](const char* name, const models::LayerChoice& value) {
    json.key(name).begin_object().key("layers").begin_array();
    for (const std::int64_t layer : value.layers) json.value(layer);
    json.end_array().member("kl", value.kl).end_object();
  };
  json.begin_object();
  choice("best", chosen.best);
  choice("even", chosen.even);
  out << json.end_object().text() << '\n';
}

/// Whether `student.init.fit` can do anything: a layer of experts stays as it is.
bool can_be_fitted(const models::CausalLm& model, const std::vector<std::int64_t>& layers) {
  const auto sites = model.adapter_sites();
  return std::ranges::any_of(layers, [&sites](std::int64_t layer) {
    const std::string name = core::concat("model.layers.", layer, ".mlp.down_proj");
    return std::ranges::find(sites, name, &models::AdapterSite::module) != sites.end();
  });
}

void write_text(const models::ChosenLayers& chosen, bool fit, std::ostream& out) {
  const auto line = [&out](const char* name, const models::LayerChoice& choice) {
    out << "  " << name << "  KL " << core::fixed(choice.kl, 3) << "  " << list_of(choice.layers)
        << '\n';
  };
  line("evenly spaced", chosen.even);
  line("best found   ", chosen.best);
  out << "\nstudent:\n  init: {from: teacher, keep_layers: " << list_of(chosen.best.layers)
      << (fit ? ", fit: {}}\n" : "}\n");
}

/// What config.json alone tells, before anything is read.
void check(const ChooseLayersCommandOptions& options) {
  const auto model = models::describe_causal_lm(options.source.model, {});
  const std::int64_t layers = model.shape.num_layers;
  if (options.keep > layers) {
    fail<InputError>("--keep ", options.keep, ": ", options.source.model.string(), " has ", layers,
                     " layers");
  }
  const at::Device device = recipe::choose_device(options.source.device);
  const auto available = options.source.available_memory ? options.source.available_memory
                                                         : models::available_memory(device);
  const double states =
      static_cast<double>(options.tokens) * static_cast<double>(model.shape.hidden_size) *
      static_cast<double>(layers + 4) * static_cast<double>(c10::elementSize(options.source.dtype));
  if (!available || states <= static_cast<double>(*available)) return;
  constexpr double kMost = 1e18;
  fail<InputError>("--tokens ", options.tokens, ": their states behind ", layers,
                   " layers take about ",
                   core::human_bytes(static_cast<std::uint64_t>(std::min(states, kMost))),
                   " of memory, ", core::human_bytes(*available),
                   " are available; use fewer, or --ignore-memory to try all the same");
}

}  // namespace

void choose_layers(const ChooseLayersCommandOptions& options, std::ostream& out,
                   core::Logger& log) {
  check(options);
  const auto dataset = load_data(options, log);
  const auto model = load_model(options.source, log);
  const auto texts = some_texts(dataset, options.tokens, model->device());
  log.info(core::with_thousands(texts.input_ids.size(0)), " tokens in ", texts.segments.size() - 1,
           " sequences, of which the last fifth is measured on");
  Told told(log);
  const auto chosen = models::choose_layers(
      *model, options.keep, texts,
      {.on_progress = [&told](const models::ChooseLayersProgress& now) { told(now); }});
  if (options.json) {
    write_json(chosen, out);
  } else {
    write_text(chosen, can_be_fitted(*model, chosen.best.layers), out);
  }
}

}  // namespace distill::commands

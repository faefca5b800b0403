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
#include <distill/models/choose_layers.h>
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

/// Says what has been found so far, each time that it is better.
class Told {
 public:
  explicit Told(core::Logger& log) : log_(log) {}

  void operator()(const models::ChooseLayersProgress& now) {
    if (now.gaps) {
      constexpr std::int64_t kParts = 10;
      const std::int64_t part = now.done * kParts / std::max<std::int64_t>(now.of, 1);
      if (part > parts_) log_.info("gaps measured: ", now.done, " of ", now.of);
      parts_ = std::max(parts_, part);
      return;
    }
    if (now.best.layers == best_) return;
    best_ = now.best.layers;
    log_.info("KL ", core::fixed(now.best.kl, 3), "  ", list_of(best_));
  }

 private:
  core::Logger& log_;
  std::int64_t parts_ = 0;
  std::vector<std::int64_t> best_;
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
  json.member("choices_measured", chosen.choices_measured);
  out << json.end_object().text() << '\n';
}

void write_text(const models::ChosenLayers& chosen, std::ostream& out) {
  const auto line = [&out](const char* name, const models::LayerChoice& choice) {
    out << "  " << name << "  KL " << core::fixed(choice.kl, 3) << "  " << list_of(choice.layers)
        << '\n';
  };
  line("evenly spaced", chosen.even);
  line("best found   ", chosen.best);
  out << "\nstudent:\n  init: {from: teacher, keep_layers: " << list_of(chosen.best.layers)
      << ", fit: {}}\n";
}

}  // namespace

void choose_layers(const ChooseLayersCommandOptions& options, std::ostream& out,
                   core::Logger& log) {
  const auto dataset = load_data(options, log);
  const auto model = load_model(options.source, log);
  const auto texts = some_texts(dataset, options.tokens, model->device());
  Told told(log);
  const auto chosen = models::choose_layers(
      *model, options.keep, texts,
      {.on_progress = [&told](const models::ChooseLayersProgress& now) { told(now); }});
  options.json ? write_json(chosen, out) : write_text(chosen, out);
}

}  // namespace distill::commands

#include <distill/commands/logits.h>

#include <string_view>

#include <ATen/ops/tensor.h>
#include <c10/core/InferenceMode.h>

#include <distill/core/error.h>
#include <distill/core/files.h>
#include <distill/io/safetensors.h>
#include <distill/models/logits.h>
#include <distill/types/model_output.h>

#include "commands/ids_file.h"

namespace distill::commands {

namespace {

std::vector<text::TokenIds> read_sequences(const std::filesystem::path& path,
                                           const models::ModelShape& shape) {
  const auto file = core::MappedFile::open(path);
  std::string_view rest = file.text();
  std::vector<text::TokenIds> sequences;
  for (std::int64_t line = 1; !rest.empty(); ++line) {
    const auto end = rest.find('\n');
    const std::string source = core::concat(path.string(), ":", line);
    auto ids = parse_ids(rest.substr(0, end), source);
    if (ids.empty()) fail<InputError>(source, ": empty line, expected a sequence of ids");
    for (const auto id : ids) {
      if (id >= shape.vocab_size) {
        fail<InputError>(source, ": id ", id, " is outside the vocabulary of ", shape.vocab_size);
      }
    }
    if (std::ssize(ids) > shape.max_positions) {
      fail<InputError>(source, ": ", ids.size(), " ids, the model has ", shape.max_positions,
                       " positions");
    }
    sequences.push_back(std::move(ids));
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  }
  if (sequences.empty()) fail<InputError>(path.string(), ": no sequence of ids in it");
  return sequences;
}

}  // namespace

void write_logits(const LogitsOptions& options, core::Logger& log) {
  const auto model = load_model(options.source, log);
  const auto sequences = read_sequences(options.ids, model->shape());
  const c10::InferenceMode no_graph;
  std::vector<io::TensorSpec> specs;
  for (const auto& ids : sequences) {
    specs.push_back({core::concat("logits_", specs.size()),
                     c10::ScalarType::Float,
                     {std::ssize(ids), model->shape().vocab_size}});
  }
  io::write_safetensors(options.out, specs, {{"format", "pt"}}, [&](std::size_t i) {
    const auto output =
        model->forward(types::single_sequence(at::tensor(sequences[i]).to(model->device())));
    return models::logits(output, output.hidden);
  });
  log.info(options.out.string(), ": logits of ", sequences.size(),
           sequences.size() == 1 ? " sequence" : " sequences");
}

}  // namespace distill::commands

#include <distill/recipe/fit_student.h>

#include <algorithm>
#include <cmath>
#include <string_view>

#include <distill/core/error.h>
#include <distill/core/memory.h>
#include <distill/data/batch_stream.h>
#include <distill/models/check.h>
#include <distill/models/load.h>
#include <distill/types/joined_input.h>

namespace distill::recipe {

namespace {

const FitOptions* fit_of(const Recipe& recipe) {
  const auto& init = recipe.student.init;
  return init && init->fit ? &*init->fit : nullptr;
}

/// Whether the layers are those of the teacher that a run has in memory.
bool is_teachers(const Recipe& recipe, const PlannedModels& models) {
  return models.teacher.has_value() && recipe.student.init->from == InitFrom::kTeacher;
}

/// About `tokens` of what the run reads, evenly spread over it: rows that were fitted have less
/// left to teach, and so no part of the run has more of them than another.
types::ModelInput spread_texts(const Recipe& recipe, const DataParts& data, std::int64_t tokens,
                               at::Device device) {
  data::BatchStream::Options options;
  options.seed = static_cast<std::uint64_t>(recipe.seed);
  options.prefetch = 0;
  data::BatchStream batches(data.train, options);
  const std::int64_t all = data.train->num_rows();
  const double per_row = static_cast<double>(data.train->num_tokens()) / static_cast<double>(all);
  const double wanted = std::ceil(static_cast<double>(tokens) / per_row);
  const auto count = static_cast<std::int64_t>(std::min(wanted, static_cast<double>(all)));
  // A short run reads fewer rows than are wanted; then there are those that it would read next.
  const double run =
      static_cast<double>(total_steps(recipe, all)) * static_cast<double>(recipe.train.batch_size);
  const auto read = static_cast<std::int64_t>(
      std::clamp(run, static_cast<double>(count), static_cast<double>(all)));
  std::vector<types::ModelInput> rows;
  for (std::int64_t i = 0; i < count; ++i) {
    batches.seek(i * (read / count) + i * (read % count) / count);
    rows.push_back(types::moved_to(batches.next(), device).input);
  }
  return types::joined(rows);
}

std::shared_ptr<models::CausalLm> source_model(const Recipe& recipe, const PlannedModels& models,
                                               const ModelParts& parts, core::Logger& log,
                                               std::optional<std::uint64_t> available_memory) {
  if (is_teachers(recipe, models)) return parts.teacher_model;
  return models::load_causal_lm(models.student.folder, {.dtype = dtype_of(recipe.precision),
                                                        .device = models.device,
                                                        .available_memory = available_memory,
                                                        .log = &log});
}

void log_fits(const std::vector<models::LayerFit>& fits, std::int64_t tokens, core::Logger& log) {
  double before = 0, after = 0;
  for (const auto& fit : fits) {
    before = std::max(before, fit.error_before);
    after = std::max(after, fit.error_after);
    log.debug("layer ", fit.layer, ": relative error of its result ", fit.error_before, " -> ",
              fit.error_after);
  }
  log.info("student: ", fits.size(), " layers fitted on ", tokens,
           " tokens to what the layers left out did; largest relative error ", before, " -> ",
           after);
}

/// All that it takes of memory is free again when it returns.
std::vector<models::LayerFit> fits_of(const FitOptions& options, const Recipe& recipe,
                                      const PlannedModels& models, const DataParts& data,
                                      ModelParts& parts, core::Logger& log,
                                      std::optional<std::uint64_t> available_memory,
                                      const std::function<void()>& between_pieces) {
  const auto source = source_model(recipe, models, parts, log, available_memory);
  const types::ModelInput texts = spread_texts(recipe, data, options.tokens, models.device);
  try {
    auto fits = models::fit_layers(*parts.student, *source, models.student.layers, texts,
                                   {.ridge = options.ridge, .between_pieces = between_pieces});
    log_fits(fits, texts.input_ids.numel(), log);
    return fits;
  } catch (const UnsupportedError& error) {
    fail<ConfigError>("student.init.fit: ", error.what());
  }
}

constexpr std::string_view kFitted = ".mlp.down_proj";

}  // namespace

void check_fit(const Recipe& recipe, const ModelFacts& student) {
  if (fit_of(recipe) == nullptr) return;
  if (std::ranges::none_of(student.adapter_sites, [](const models::AdapterSite& site) {
        return site.module.ends_with(kFitted);
      })) {
    fail<ConfigError>("student.init.fit: all layers of ", student.folder.string(),
                      " are of experts, which cannot be fitted; leave it out");
  }
  std::vector<std::string> names;
  for (const auto& parameter : student.parameters) names.push_back(parameter.name);
  const auto frozen = match_frozen(names, recipe.student.freeze);
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (!frozen[i] || !names[i].ends_with(std::string(kFitted) + ".weight")) continue;
    fail<ConfigError>("student.freeze: holds ", names[i],
                      ", which `student.init.fit` changes, and a run that goes on has frozen "
                      "weights from the model's folder; train it, or leave out one of the two");
  }
}

std::vector<models::LayerFit> fit_student(const Recipe& recipe, const PlannedModels& models,
                                          const DataParts& data, ModelParts& parts,
                                          core::Logger& log,
                                          std::optional<std::uint64_t> available_memory,
                                          const std::function<void()>& between_pieces) {
  const FitOptions* options = fit_of(recipe);
  if (options == nullptr) return {};
  const auto fits =
      fits_of(*options, recipe, models, data, parts, log, available_memory, between_pieces);
  parts.optimizer->take_parameters();
  core::release_freed_memory();  // training takes blocks of other sizes
  return fits;
}

std::uint64_t fit_bytes(const Recipe& recipe, const PlannedModels& models) {
  const FitOptions* options = fit_of(recipe);
  if (options == nullptr) return 0;
  const auto tokens = static_cast<double>(std::max(options->tokens, recipe.data.sequence_length));
  const auto hidden = static_cast<double>(models.student.hidden_size);
  double inner = 0;
  for (const auto& site : models.student.adapter_sites) {
    if (site.module.ends_with(kFitted)) inner = std::max(inner, static_cast<double>(site.in));
  }
  const auto width = static_cast<double>(c10::elementSize(dtype_of(recipe.precision)));
  const double states = 2 * tokens * hidden * width;  // of the student and the source
  // Values of one layer for a piece of the texts, some of them in fp32.
  constexpr double kPiece = 2048;
  const double piece = std::max(kPiece, static_cast<double>(recipe.data.sequence_length));
  const double one_layer = piece * static_cast<double>(models.student.largest_layer_values) * 4;
  // Of the equations: their matrix, its factor, and the right and the left side.
  const double equations = 8 * (2 * inner * inner + 2 * inner * hidden);
  const double all = states + one_layer + equations;
  std::uint64_t bytes = all < 1e18 ? static_cast<std::uint64_t>(all) : std::uint64_t{1} << 60;
  if (!is_teachers(recipe, models)) {
    const auto weights = models::weight_bytes(
        models.student.folder, {.dtype = dtype_of(recipe.precision), .device = models.device});
    bytes += weights.allocated + weights.mapped;
  }
  return bytes;
}

}  // namespace distill::recipe

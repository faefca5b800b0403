#include "recipe/load_sets.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "recipe/across_tokenizers.h"

namespace distill::recipe {

namespace {

/// A teacher with a tokenizer of its own reads the same rows in its own tokens.
std::optional<eval::EvaluationSet> for_teacher(const eval::NamedSetOptions& options,
                                               const ModelFacts& teacher,
                                               const text::Tokenizer& tokenizer,
                                               const data::RowReading& rows, core::Logger& log) {
  if (options.task == eval::SetTask::kPerplexity) return std::nullopt;
  return eval::EvaluationSet::load(
      options.source(),
      {.rows = {.tokenizer = tokenizer, .between_rows = rows.between_rows},
       .max_positions = teacher.max_positions},
      log);
}

}  // namespace

std::vector<NamedSet> load_sets(const Recipe& recipe, const PlannedModels& models,
                                const data::RowReading& rows, core::Logger& log) {
  std::vector<NamedSet> sets;
  std::shared_ptr<const text::Tokenizer> own;
  if (!recipe.evaluate.sets.empty() && crosses_tokenizers(recipe) && models.teacher) {
    own = text::load_tokenizer(models.teacher->folder);
  }
  // Contexts are cut alike for models that read the same tokens.
  std::int64_t positions = models.student.max_positions;
  if (models.teacher && !own) positions = std::min(positions, models.teacher->max_positions);
  for (const eval::NamedSetOptions& options : recipe.evaluate.sets) {
    NamedSet set{options, eval::EvaluationSet::load(options.source(),
                                                    {.rows = rows,
                                                     .max_positions = positions,
                                                     .sequence_length = recipe.data.sequence_length,
                                                     .chat_template = recipe.data.chat_template,
                                                     .cache = recipe.data.cache},
                                                    log)};
    if (own) {
      set.teacher = for_teacher(options, *models.teacher, *own, rows, log);
    } else if (models.teacher) {
      set.teacher = set.student;
    }
    sets.push_back(std::move(set));
  }
  return sets;
}

}  // namespace distill::recipe

#include <algorithm>
#include <iterator>
#include <optional>

#include <distill/core/error.h>
#include <distill/core/paths.h>
#include <distill/recipe/cache.h>
#include <distill/recipe/forgetting.h>
#include <distill/recipe/several_teachers.h>
#include <distill/recipe/wiring.h>

#include "recipe/across_tokenizers.h"
#include "recipe/load_sets.h"
#include "recipe/served_tokenizer.h"

namespace distill::recipe {

namespace {

/// What one teacher and the student agree on. The teacher's side is read from its folder.
Preflight look_at_text(const TextSide& student, const ModelFacts& model, bool chosen) {
  if (core::is_same_path(model.folder, student.folder)) {
    const TextSide same{model.folder, model.vocab_size, student.tokenizer, student.chat};
    return check_text(student, &same, chosen);
  }
  const auto own = text::load_tokenizer(model.folder);
  const auto own_chat = text::load_chat_template(model.folder, "auto");
  const TextSide teacher{model.folder, model.vocab_size, *own, own_chat.get()};
  return check_text(student, &teacher, chosen);
}

/// The folder that holds the tokenizer of a teacher elsewhere; nothing where it is not given.
std::optional<std::string> tokenizer_folder(const Recipe& recipe) {
  if (const auto* server = recipe.teacher.options<ServerTeacherOptions>()) return server->tokenizer;
  const auto* process = recipe.teacher.options<ProcessTeacherOptions>();
  return process != nullptr ? process->tokenizer : std::nullopt;
}

/// The same for all teachers that are read from a folder.
Preflight look_at_text(const Recipe& recipe, const PlannedModels& models,
                       const text::Tokenizer& tokenizer, const text::ChatTemplate* chat) {
  const TextSide student{models.student.folder, models.student.vocab_size, tokenizer, chat};
  const bool chosen = recipe.data.chat_template != "auto";
  if (const auto folder = tokenizer_folder(recipe)) {
    const auto served = text::load_tokenizer(*folder);
    const auto served_chat = text::load_chat_template(*folder, "auto");
    const TextSide teacher{*folder, served->vocab_size(), *served, served_chat.get()};
    return check_text(student, &teacher, chosen);
  }
  if (models.teacher) return look_at_text(student, *models.teacher, chosen);
  if (models.several.empty()) return check_text(student, nullptr, false);
  Preflight all;
  for (const ModelFacts& teacher : models.several) {
    Preflight own = look_at_text(student, teacher, chosen);
    std::ranges::move(own.checks, std::back_inserter(all.checks));
  }
  return all;
}

/// What a teacher with another tokenizer reads text with. Without a template of its own it reads
/// conversations as the student's writes them.
struct TeacherText {
  TeacherText(const ModelFacts& teacher, const std::shared_ptr<const text::ChatTemplate>& student)
      : TeacherText(teacher.folder, teacher.max_positions, student) {
    vocab_size = teacher.vocab_size;
  }
  /// Of a model that is elsewhere.
  TeacherText(const std::filesystem::path& its_folder, std::int64_t most_tokens,
              const std::shared_ptr<const text::ChatTemplate>& student)
      : folder(its_folder),
        tokenizer(text::load_tokenizer(folder)),
        chat(text::load_chat_template(folder, "auto")),
        max_positions(most_tokens) {
    if (!chat) chat = student;
  }
  data::TeacherReading reading() const { return {*tokenizer, chat.get(), max_positions}; }

  std::filesystem::path folder;
  std::shared_ptr<const text::Tokenizer> tokenizer;
  std::shared_ptr<const text::ChatTemplate> chat;
  std::int64_t max_positions;
  std::int64_t vocab_size = 0;  ///< rows of its head; 0: not known
};

/// Nothing where teacher and student are compared id by id.
std::optional<TeacherText> other_tokenizer(const Recipe& recipe, const PlannedModels& models,
                                           std::shared_ptr<const text::ChatTemplate> student) {
  std::optional<TeacherText> teacher;
  if (!crosses_tokenizers(recipe)) return teacher;
  const auto* server = recipe.teacher.options<ServerTeacherOptions>();
  if (models.teacher) teacher.emplace(*models.teacher, student);
  if (server != nullptr && server->tokenizer) {
    teacher.emplace(*server->tokenizer, most_sent_tokens(*server, recipe.data.sequence_length),
                    student);
  }
  return teacher;
}

Preflight look_across(const PlannedModels& models, const DataParts& parts,
                      const TeacherText& teacher) {
  return check_text_across(
      {models.student.folder, models.student.vocab_size, *parts.tokenizer, parts.chat.get()},
      {teacher.folder, teacher.vocab_size, *teacher.tokenizer, teacher.chat.get()});
}

/// Null when the recipe has no files for it.
std::shared_ptr<const data::Dataset> load_eval(const Recipe& recipe,
                                               const data::RowReading& reading, core::Logger& log) {
  if (recipe.data.eval.empty()) return nullptr;
  data::DataOptions whole = recipe.data;  // what is measured is not cut up to save rows
  whole.min_packing_use = 0;
  return data::Dataset::load(recipe.data.eval, whole, reading, log);
}

void log_warnings(const Preflight& preflight, bool has_conversations, core::Logger& log) {
  for (const Check& check : preflight.checks) {
    if (check.for_conversations && !has_conversations) continue;
    if (check.result == Check::Result::kWarning) log.warning(check.subject, ": ", check.what);
  }
}

}  // namespace

DataParts load_data(const Recipe& recipe, const PlannedModels& models, core::Logger& log,
                    const DataHooks& hooks) {
  DataParts parts;
  parts.tokenizer = text::load_tokenizer(models.student.folder);
  parts.chat = text::load_chat_template(models.student.folder, recipe.data.chat_template);
  const std::optional<TeacherText> teacher = other_tokenizer(recipe, models, parts.chat);
  parts.across_tokenizers = teacher.has_value();
  parts.preflight = teacher ? look_across(models, parts, *teacher)
                            : look_at_text(recipe, models, *parts.tokenizer, parts.chat.get());
  const auto add_checks = [&parts](const std::vector<Check>& checks) {
    parts.preflight.checks.insert(parts.preflight.checks.end(), checks.begin(), checks.end());
  };
  if (models.cache) add_checks(check_cache(recipe, models, *parts.tokenizer));
  require_no_errors(parts.preflight, false);
  data::RowReading reading{.tokenizer = *parts.tokenizer,
                           .chat = parts.chat.get(),
                           .between_rows = hooks.between_rows,
                           .progress = hooks.progress,
                           .cache_folder = hooks.cache_folder};
  std::optional<data::TeacherReading> own;
  if (teacher) own.emplace(teacher->reading());
  reading.teacher = own ? &*own : nullptr;
  parts.train = data::Dataset::load(recipe.data.train, recipe.data, reading, log);
  if (recipe.forgetting && recipe.forgetting->react && !recipe.forgetting->react->replay.empty()) {
    const data::DataOptions mixed = with_replay(recipe);
    parts.with_replay = data::Dataset::load(mixed.train, mixed, reading, log);
  }
  if (teacher) {
    const data::Coverage coverage = measure_alignment(*parts.train);
    parts.teacher_tokens_a_token = coverage.teacher_tokens_a_token();
    add_checks({check_alignment(coverage)});
    require_no_errors(parts.preflight, false);
    reading.teacher = nullptr;  // the student is measured by itself
  }
  parts.eval = load_eval(recipe, reading, log);
  parts.sets = load_sets(recipe, models, reading, log);
  if (const auto* several = recipe.teacher.options<SeveralTeachersOptions>()) {
    std::vector<const data::DataReport*> read = {&parts.train->report()};
    if (parts.eval) read.push_back(&parts.eval->report());
    if (parts.with_replay) read.push_back(&parts.with_replay->report());
    check_row_labels(*several, read);
  }
  const auto has_any = [](const std::shared_ptr<const data::Dataset>& rows) {
    return rows && rows->report().has_conversations;
  };
  const bool has_conversations =
      has_any(parts.train) || has_any(parts.eval) || has_any(parts.with_replay);
  require_no_errors(parts.preflight, has_conversations);
  log_warnings(parts.preflight, has_conversations, log);
  if (parts.eval && recipe.data.max_eval_rows > 0) {
    parts.eval = parts.eval->first_rows(recipe.data.max_eval_rows);
  }
  if (models.cache) {
    add_checks(check_coverage(recipe, parts, hooks.between_rows));
    require_no_errors(parts.preflight, has_conversations);
  }
  return parts;
}

}  // namespace distill::recipe

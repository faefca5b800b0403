#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <distill/core/json_writer.h>
#include <distill/recipe/model_facts.h>
#include <distill/recipe/recipe.h>
#include <distill/text/chat_template.h>
#include <distill/text/tokenizer.h>

namespace distill::recipe {

/// Something that was looked at before training.
struct Check {
  enum class Result { kGood, kWarning, kError };
  Result result = Result::kGood;
  std::string subject;  ///< `tokenizers`
  std::string what;     ///< one line
  /// It matters only where data hold conversations.
  bool for_conversations = false;
};

/// What teacher and student must agree on before one can learn from the other. What would make the
/// training wrong is an error, what may be meant is a warning.
struct Preflight {
  std::vector<Check> checks;
};

/// A model's folder, its rows, and what reads text for it.
struct TextSide {
  std::filesystem::path folder;
  std::int64_t vocab_size = 0;  ///< rows of its head
  const text::Tokenizer& tokenizer;
  const text::ChatTemplate* chat = nullptr;  ///< may be null
};

/// Tokenizers are compared by content: every id's bytes, then how texts are cut into ids.
/// `teacher` may be null. `chosen_template`: the recipe names one, so that another one than the
/// teacher's is meant.
Preflight check_text(const TextSide& student, const TextSide* teacher, bool chosen_template);

/// Throws ConfigError with a line for each error that matters for these data.
void require_no_errors(const Preflight& preflight, bool has_conversations);

/// Lines `ok  tokenizers: ...` for people, and as an array of objects.
std::string preflight_text(const Preflight& preflight, const std::string& indent);
void write_json(core::JsonWriter& json, const Preflight& preflight);

}  // namespace distill::recipe

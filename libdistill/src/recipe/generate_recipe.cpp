#include <distill/recipe/generate_recipe.h>

#include <cmath>
#include <string_view>

#include <distill/core/changeable.h>
#include <distill/core/error.h>
#include <distill/core/strings.h>
#include <distill/core/text_pattern.h>

namespace distill::recipe {

using core::concat;

void describe(core::FieldVisitor& visit, AnswerOptions& options) {
  visit.required("prompts", options.prompts, "JSON Lines with `messages` or `prompt`");
  visit("samples", options.samples, "answers to each prompt, each drawn anew");
  visit("max_new_tokens", options.max_new_tokens, "most tokens of an answer");
  visit("temperature", options.temperature, "0: the likeliest words");
  visit("top_p", options.top_p, "sample from the likeliest ids of this probability together");
  visit("batch_size", options.batch_size, "texts that a local teacher writes at once");
  visit("chat_template", options.chat_template,
        "a prompt is what a user says in this template; none: plain text to continue");
  visit("min_tokens", options.min_tokens, "least tokens of an answer that is kept");
  visit("max_tokens", options.max_tokens, "most tokens of an answer that is kept");
  visit("max_repetition", options.max_repetition,
        "largest share of an answer's runs of four words that were there before in it");
  visit("answer_regex", options.answer_regex, "must match somewhere in an answer");
  visit("min_likelihood", options.min_likelihood,
        "least mean log-probability of an answer's tokens to the teacher, such as -1.5");
  visit("rows_at_once", options.rows_at_once, "prompts of one part; a stop costs one part");
}

namespace {

void check_pattern(const std::string& pattern, core::Problems& problems) {
  if (pattern.empty()) return;
  try {
    core::TextPattern(pattern, core::TextPattern::Part::kInside, "");
  } catch (const ConfigError& error) {
    problems.add("answer_regex", std::string(error.what()).substr(std::string_view(": ").size()));
  }
}

}  // namespace

void validate(const AnswerOptions& options, core::Problems& problems) {
  const auto in_range = [&](const char* name, auto value, auto low, auto high) {
    if (value >= low && value <= high) return;
    problems.add(name, concat("must be from ", low, " to ", high, ", it is ", value));
  };
  constexpr std::int64_t kMost = std::int64_t{1} << 24;
  if (options.prompts.empty()) problems.add("prompts", "must name a file, it is empty");
  in_range("samples", options.samples, std::int64_t{1}, kMost);
  in_range("max_new_tokens", options.max_new_tokens, std::int64_t{1}, kMost);
  in_range("temperature", options.temperature, 0.0, 1000.0);
  if (!(options.top_p > 0 && options.top_p <= 1)) {
    problems.add("top_p", concat("must be above 0 and at most 1, it is ", options.top_p));
  }
  in_range("batch_size", options.batch_size, std::int64_t{1}, std::int64_t{4096});
  in_range("min_tokens", options.min_tokens, std::int64_t{0}, kMost);
  if (options.max_tokens) in_range("max_tokens", *options.max_tokens, std::int64_t{1}, kMost);
  if (options.max_repetition) in_range("max_repetition", *options.max_repetition, 0.0, 1.0);
  if (options.max_tokens && *options.max_tokens < options.min_tokens) {
    problems.add("max_tokens", concat("must be at least `min_tokens`, ", options.min_tokens,
                                      ", it is ", *options.max_tokens));
  }
  if (options.min_likelihood && !(*options.min_likelihood <= 0)) {
    problems.add("min_likelihood",
                 concat("is a mean log-probability, 0 at most, it is ", *options.min_likelihood));
  }
  check_pattern(options.answer_regex, problems);
  in_range("rows_at_once", options.rows_at_once, std::int64_t{1}, kMost);
  if (options.samples > 1 && options.temperature == 0) {
    problems.add("samples", "has no effect at temperature 0: all answers to a prompt are the same");
  }
}

void describe(core::FieldVisitor& visit, GenerateRecipe& recipe) {
  visit.required("name", recipe.name, "the name of the stage");
  visit("seed", recipe.seed, "same seed, same answers of a local teacher");
  visit("precision", recipe.precision, "what a local teacher computes in");
  visit("device", recipe.device, "where a local teacher runs");
  visit.required("teacher", recipe.teacher, "who answers: of kind `local` or `server`");
  visit.required("generate", recipe.generate, "what is asked, and which answers are kept");
}

void validate(const GenerateRecipe& recipe, core::Problems& problems) {
  if (recipe.seed < 0) problems.add("seed", concat("must not be negative, it is ", recipe.seed));
  const auto* local = recipe.teacher.options<LocalTeacherOptions>();
  if (local == nullptr && recipe.teacher.options<ServerTeacherOptions>() == nullptr) {
    problems.add("teacher.kind", concat("is `", recipe.teacher.kind(),
                                        "`, and answers are written by a teacher of kind `local` "
                                        "or `server`"));
  }
  if (local != nullptr && local->quantize) {
    problems.add("teacher.quantize", "has no effect where a teacher writes answers");
  }
  const std::string& chat = recipe.generate.chat_template;
  const bool served = recipe.teacher.options<ServerTeacherOptions>() != nullptr;
  if (served && chat != "auto" && chat != "none") {
    problems.add("generate.chat_template",
                 concat("is `", core::printable(chat),
                        "`, and that of a server's model is its own; expected auto or none"));
  }
}

void describe(core::FieldVisitor& visit, MergeRecipe& recipe) {
  visit.required("name", recipe.name, "the name of the stage");
  visit("model", recipe.model,
        "model folder; when empty the one that the stage of the adapter trained beside");
  visit.required("adapter", recipe.adapter, "the adapter folder");
  visit("dtype", recipe.dtype, "of the merged weights; stored: as the model's are");
}

void validate(const MergeRecipe& recipe, core::Problems& problems) {
  if (recipe.adapter.empty()) problems.add("adapter", "must name a folder, it is empty");
}

}  // namespace distill::recipe

#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <distill/core/registry.h>
#include <distill/recipe/options.h>
#include <distill/recipe/registries.h>

/// What a stage of a pipeline can be beside a training run.
namespace distill::recipe {

/// What a teacher is asked, and which of its answers are kept; as `distill generate-data`.
struct AnswerOptions {
  std::string prompts;       ///< JSON Lines: conversations, or rows with `prompt`
  std::int64_t samples = 1;  ///< answers to each prompt
  std::int64_t max_new_tokens = 256;
  double temperature = 0.7;  ///< 0: the likeliest words
  double top_p = 0.9;
  std::int64_t batch_size = 32;  ///< texts that a model in this process writes at once
  std::string chat_template = "auto";
  std::int64_t min_tokens = 0;
  std::optional<std::int64_t> max_tokens = {};
  std::optional<double> max_repetition = {};
  std::string answer_regex = {};
  std::optional<double> min_likelihood = {};
  std::int64_t rows_at_once = 32;  ///< what a stop costs at most
};

/// `kind: generate`: a teacher's answers as training rows.
struct GenerateRecipe {
  explicit GenerateRecipe(const Registries& registries) : teacher(registries.teachers) {}

  std::string name;
  std::int64_t seed = 17;
  Precision precision = Precision::kFp32;
  Device device = Device::kAuto;
  core::Component<teachers::Teacher, const TeacherContext&> teacher;  ///< local or server
  AnswerOptions generate;
};

/// What a merged model is written in.
enum class MergeDtype { kStored, kFp32, kBf16 };
constexpr std::array<std::string_view, 3> choice_names(MergeDtype) {
  return {"stored", "fp32", "bf16"};
}

/// `kind: merge`: an adapter becomes part of its model.
struct MergeRecipe {
  std::string name;
  std::string model = {};  ///< folder; empty: what the stage of the adapter trained beside
  std::string adapter;     ///< folder
  MergeDtype dtype = MergeDtype::kStored;
};

void describe(core::FieldVisitor& visit, AnswerOptions& options);
void describe(core::FieldVisitor& visit, GenerateRecipe& recipe);
void describe(core::FieldVisitor& visit, MergeRecipe& recipe);
void validate(const AnswerOptions& options, core::Problems& problems);
void validate(const GenerateRecipe& recipe, core::Problems& problems);
void validate(const MergeRecipe& recipe, core::Problems& problems);

}  // namespace distill::recipe

#pragma once

#include <distill/data/dataset.h>
#include <distill/recipe/preflight.h>
#include <distill/recipe/recipe.h>

namespace distill::recipe {

/// The recipe has a loss for teachers with another tokenizer.
bool crosses_tokenizers(const Recipe& recipe);

/// What must hold for texts to be compared by their bytes: each model has rows for the ids of its
/// own tokenizer (a teacher of `vocab_size` 0 is elsewhere, and its rows are not known). Ends of
/// text and templates may differ; the student should have an end.
Preflight check_text_across(const TextSide& student, const TextSide& teacher);

/// Below this share of the tokens to learn in chunks, the teacher has too little to say, ...
inline constexpr double kLeastCoverage = 0.5;
/// ... and below this one the user should know.
inline constexpr double kGoodCoverage = 0.9;

/// Whether the teacher can speak about enough of what is learned.
Check check_alignment(const data::Coverage& coverage);
/// Of some hundred rows.
data::Coverage measure_alignment(const data::Dataset& train);

}  // namespace distill::recipe

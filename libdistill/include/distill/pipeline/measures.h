#pragma once

#include <map>
#include <string>
#include <vector>

#include <distill/pipeline/report.h>
#include <distill/recipe/recipe.h>

namespace distill::pipeline {

/// What a run came to, by name, for those who decide by it. Of the evaluation after training:
/// `perplexity`, `teacher_perplexity`, `kl_to_teacher`, `top_k_kl_to_teacher`, `top1_agreement`.
/// Where there is one before training too, changes for the worse relative to it:
/// `perplexity_rise`, `kl_to_teacher_rise`, `top_k_kl_to_teacher_rise` are (after - before) /
/// before, `top1_agreement_drop` is (before - after) / before: 0.05 is worse by 5 percent, below 0
/// is better. A change from 0 is infinite, no change is 0.
/// Of a set of `evaluate.sets` each figure of its kind (eval::SetKind) as `SET.accuracy`,
/// `SET.perplexity`, `SET.stereotype_share`, ...; `SET.accuracy_drop` and the like,
/// `SET.perplexity_rise`; and of bias `SET.bias_gap`: the student's stereotype_share minus the
/// teacher's, and of questions `SET.bias_score_gap`, the same of bias_score. `accuracy_drop` alone
/// is the largest over all sets of multiple choice.
/// What was not measured is not there. Values may be NaN or infinite, which no sensible limit holds
/// for.
std::map<std::string, double> measures(const Report& report);

/// The names of what a run of the recipe will measure, in order, without running it. Of a cache its
/// description is read; a kind of teacher that is not built in may give all there is. Throws as
/// io::read_logit_cache_info.
std::vector<std::string> measured_names(const recipe::Recipe& recipe);

}  // namespace distill::pipeline

#pragma once

#include <distill/data/dataset.h>
#include <distill/eval/log_likelihood.h>
#include <distill/eval/set_result.h>

namespace distill::eval {

/// Of kind kPerplexity, row by row: together exp(mean negative log-likelihood) of the targets, the
/// perplexity of `evaluate`. Collective. Throws as evaluate does.
SetResult measure_perplexity(models::CausalLm& model, const data::Dataset& dataset,
                             dist::Communicator& ranks, const ScoreOptions& options);

}  // namespace distill::eval

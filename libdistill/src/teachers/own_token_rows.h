#pragma once

#include <cstdint>
#include <vector>

#include <distill/teachers/openai_client.h>

#include "teachers/top_k_rows.h"

namespace distill::teachers::detail {

/// What a server says of the text's own tokens, one id a row: row t is token t+1 and its
/// log-probability. The last row, which nothing follows, and all rows where scores are missing hold
/// id 0 with a probability of 1. Scores must hold the token of the text at each position, as
/// checked_position sees to.
TopKRows own_token_rows(const PromptScores& scores, const std::vector<std::int64_t>& ids);

}  // namespace distill::teachers::detail

#pragma once

#include <string>
#include <string_view>

#include <distill/teachers/openai_client.h>

/// SGLang's own /generate, which gives the likeliest ids of a prompt. Log-probabilities stand there
/// as `[value, id, text or null]`, the value of the first token is null.
namespace distill::teachers::detail {

std::string sglang_score_json(const ScoreRequest& request);

/// Any text that is not what was expected is a BadAnswer.
PromptScores parse_sglang_scores(std::string_view text, const std::string& url,
                                 const ScoreRequest& request);

}  // namespace distill::teachers::detail

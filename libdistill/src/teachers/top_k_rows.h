#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include <distill/teachers/openai_client.h>

namespace distill::teachers::detail {

/// A teacher's answer for one segment of T tokens, as types::TopKLogProbs wants it.
struct TopKRows {
  at::Tensor ids;        ///< int32 [T, K]
  at::Tensor log_probs;  ///< fp32 [T, K]
};

struct TopKShape {
  std::int64_t top_k = 0;
  std::int64_t vocabulary = 0;  ///< ids from here on are not the student's
};

/// Row t is what the server says of token t+1: its distribution behind t. The last row, which
/// nothing follows, and all rows where scores are missing say that all ids are equally likely.
///
/// Of K+1 entries the K likeliest stay, and a token of the text that is not among them is in the
/// tail, as with a teacher in this process: which classes are compared must not depend on the
/// label, and all rows have one width. What is left is still exact: the tail's probability is 1
/// less that of the K. Throws TeacherError, beginning with `who`, for an id outside the vocabulary
/// that has more than a trace of probability; a trace goes to the tail.
TopKRows top_k_rows(const PromptScores& scores, const std::vector<std::int64_t>& ids,
                    const TopKShape& shape, const std::string& who);

}  // namespace distill::teachers::detail

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <distill/teachers/openai_client.h>

/// What is kept in a run folder of a server's answer to its probe (docs/formats/run_folder.md).
namespace distill::teachers::detail {

struct KeptAnswer {
  std::vector<std::int64_t> probe;  ///< ids of the text
  std::int64_t top_k = 0;           ///< ids that were asked for at each position
  PromptScores scores;              ///< without what ids spell
};

/// Of an answer to the probe with `top_k` ids: the likeliest of each position, 64 at most.
KeptAnswer kept_answer(const std::vector<std::int64_t>& probe, std::int64_t top_k,
                       const PromptScores& scores);

/// A JSON object on one line.
std::string to_text(const KeptAnswer& kept);
/// Throws FormatError for anything that to_text does not write.
KeptAnswer parse_kept_answer(const std::string& text);

}  // namespace distill::teachers::detail

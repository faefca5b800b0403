#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <distill/core/strings.h>
#include <distill/io/json_value.h>
#include <distill/teachers/openai_client.h>

/// What the answers of all servers have in common.
namespace distill::teachers::detail {

/// Of all answers but scores, which may be larger.
constexpr io::JsonLimits kAnswerLimits{.max_bytes = std::uint64_t{64} << 20,
                                       .max_values = 8'000'000};

/// Of scores for so many tokens with `top_k` ids each and perhaps one more: no whole answer comes
/// near them. Throws as check_score_size does.
io::JsonLimits score_limits(std::int64_t num_tokens, std::int64_t top_k);

/// Parses and reads; what is wrong becomes a BadAnswer that shows how the answer begins.
template <class Read>
auto read_answer(std::string_view text, const std::string& url, const io::JsonLimits& limits,
                 const Read& read) {
  try {
    const io::JsonValue value = io::parse_json(text, url, limits);
    return read(io::JsonCursor(value, url));
  } catch (const InputError& error) {
    fail<BadAnswer>(error.what(), "; the answer begins `", core::printable(text, 80), "`");
  }
}

/// A number at most 0, but for rounding.
double read_log_prob(const io::JsonCursor& number);

/// The entries of one position by id, `wanted` of them or one more: the token that is there comes
/// on top where it is not among the likeliest. Throws FormatError for other counts, an id that is
/// there twice, probabilities that sum to more than 1.
std::vector<TokenLogProb> checked_position(std::vector<TokenLogProb> entries, std::int64_t actual,
                                           std::int64_t wanted, const io::JsonCursor& where);

}  // namespace distill::teachers::detail

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <distill/core/random.h>

/// What a teacher said about some positions, in few bits: docs/formats/logit_cache.md. Ids are
/// delta-coded, probabilities quantised.
namespace distill::io {

/// The K likeliest ids of each position, and the probability of all others together.
struct TopKRows {
  std::vector<std::int64_t> ids;   ///< [P * K], ascending in each position
  std::vector<double> log_probs;   ///< [P * K]
  std::vector<double> log_others;  ///< [P] log of what is left for other ids; -infinity: nothing
};

/// Entry by entry, log-probabilities above -32 keep an error below 2^-7 (smaller ones become -32),
/// `log_others` above -64 one below 2^-10. What is read sums to 1 with the others.
std::vector<std::byte> encode_top_k(const TopKRows& rows, std::int64_t num_positions);

/// Throws FormatError `WHERE: ...` where the bytes are not `num_positions` positions of `k` ids
/// below `vocabulary`.
TopKRows decode_top_k(std::span<const std::byte> bytes, std::int64_t num_positions, std::int64_t k,
                      std::int64_t vocabulary, const std::string& where);

/// One position of which some ids are known: those of probability 1 / draws and more, and some of
/// the others, each of which stands for 1 / draws.
struct SampledRow {
  std::vector<std::int64_t> ids;      ///< ascending
  std::vector<double> probabilities;  ///< of the teacher
  /// The mean of log P over the other ids, weighted by P; only the value of a loss needs it.
  double mean_log_prob_of_rest = 0;
};

/// The sample as a loss takes it: sum_k weight_k f(id_k) has the expected value sum_v P_v f(v).
struct SampledRows {
  std::vector<std::int64_t> begins;  ///< [P + 1], of each position in what follows
  std::vector<std::int64_t> ids;
  std::vector<double> weights;
  std::vector<double> log_probs;  ///< log of the weight, or the mean of the rest
};

/// Weights are rounded up or down at random, so that their expected values stay. `draws` in
/// [kFewestDraws, kMostDraws].
std::vector<std::byte> encode_sampled(std::span<const SampledRow> rows, std::int64_t draws,
                                      core::RandomState& random);
SampledRows decode_sampled(std::span<const std::byte> bytes, std::int64_t num_positions,
                           std::int64_t draws, std::int64_t vocabulary, const std::string& where);

constexpr std::int64_t kFewestDraws = 4;
constexpr std::int64_t kMostDraws = 4096;
constexpr std::int64_t kMostTopK = 65'536;

}  // namespace distill::io

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include <distill/core/error.h>
#include <distill/io/signal_rows.h>

#include "io/id_gaps.h"

namespace distill::io {

namespace {

// Part of the file format, do not change.
constexpr int kWeightBits = 7;
constexpr std::uint64_t kWhatIsLeft = (std::uint64_t{1} << kWeightBits) - 1;
constexpr int kMeanBits = 7;
constexpr double kMeanSteps = 8;  // to a nat

/// Stands for the mean of the rest, which comes behind the weights.
constexpr double kNotYet = std::numeric_limits<double>::quiet_NaN();

int count_bits(std::int64_t draws) {
  return static_cast<int>(std::bit_width(static_cast<std::uint64_t>(draws) + 2));
}

/// Weights lie on a grid from 1 down to 1 / draws, even in their logarithms.
double weight_of(std::uint64_t code, std::int64_t draws) {
  const double share = static_cast<double>(code) / static_cast<double>(kWhatIsLeft - 1);
  return std::exp(-std::log(static_cast<double>(draws)) * share);
}

/// One of the two grid points around `probability`, such that their mean is that.
std::uint64_t rounded_weight(double probability, std::int64_t draws, core::RandomState& random) {
  const double place =
      -std::log(probability) / std::log(static_cast<double>(draws)) * (kWhatIsLeft - 1);
  const double low = std::clamp(std::floor(place), 0.0, static_cast<double>(kWhatIsLeft - 2));
  const auto code = static_cast<std::uint64_t>(low);
  const double larger = weight_of(code, draws);
  const double smaller = weight_of(code + 1, draws);
  const double share = (probability - smaller) / (larger - smaller);
  return random.uniform() < share ? code : code + 1;
}

std::uint64_t rounded_mean(double mean, std::int64_t draws, core::RandomState& random) {
  const double below = -std::log(static_cast<double>(draws)) - mean;  // no id of the rest has more
  const double code = std::floor(below * kMeanSteps + random.uniform());
  return static_cast<std::uint64_t>(
      std::clamp(code, 0.0, static_cast<double>((1 << kMeanBits) - 1)));
}

/// The id whose weight is what the others leave, so that all sum to 1: the one of half or more.
std::size_t leading_entry(const SampledRow& row) {
  const auto leading = std::max_element(row.probabilities.begin(), row.probabilities.end());
  const bool leads = leading != row.probabilities.end() && *leading >= 0.5;
  return leads ? static_cast<std::size_t>(leading - row.probabilities.begin()) : row.ids.size();
}

void put_row(BitWriter& out, const SampledRow& row, int order, std::int64_t draws,
             core::RandomState& random) {
  const double least = 1.0 / static_cast<double>(draws);
  const std::size_t leading = leading_entry(row);
  bool has_rest = false;
  out.put(row.ids.size(), count_bits(draws));
  put_ids(out, row.ids, order);
  for (std::size_t i = 0; i < row.ids.size(); ++i) {
    const double probability = row.probabilities[i];
    out.put(probability >= least ? 1 : 0, 1);
    if (probability < least) {
      has_rest = true;
    } else {
      out.put(i == leading ? kWhatIsLeft : rounded_weight(probability, draws, random), kWeightBits);
    }
  }
  if (has_rest) out.put(rounded_mean(row.mean_log_prob_of_rest, draws, random), kMeanBits);
}

/// Reads one position into the end of `rows`.
class RowReader {
 public:
  RowReader(std::int64_t draws, std::int64_t vocabulary, const std::string& where)
      : draws_(draws), vocabulary_(vocabulary), where_(where) {}

  void read(BitReader& in, int order, SampledRows& rows) const {
    const auto count = static_cast<std::size_t>(in.take(count_bits(draws_)));
    const std::size_t begin = rows.ids.size();
    if (count == 0 || count > static_cast<std::size_t>(draws_) + 2) {
      fail<FormatError>(where_, ": a position has ", count, " ids, expected 1 to ", draws_ + 2);
    }
    rows.ids.resize(begin + count);
    if (!take_ids(in, std::span(rows.ids).subspan(begin), order, vocabulary_)) {
      fail<FormatError>(where_, ": holds an id that is not below ", vocabulary_);
    }
    read_weights(in, begin, count, rows);
    rows.begins.push_back(static_cast<std::int64_t>(rows.ids.size()));
  }

 private:
  void read_weights(BitReader& in, std::size_t begin, std::size_t count, SampledRows& rows) const {
    const double least = 1.0 / static_cast<double>(draws_);
    std::size_t leading = begin + count;
    bool has_rest = false;
    double sum = 0;
    for (std::size_t i = begin; i < begin + count; ++i) {
      const bool listed = in.take(1) == 1;
      const std::uint64_t code = listed ? in.take(kWeightBits) : 0;
      double weight = listed ? weight_of(code, draws_) : least;
      if (listed && code == kWhatIsLeft) {
        if (leading < begin + count) fail<FormatError>(where_, ": two ids of a position lead it");
        leading = i;
        weight = 0;
      }
      has_rest = has_rest || !listed;
      sum += weight;
      rows.weights.push_back(weight);
      rows.log_probs.push_back(listed ? std::log(weight) : kNotYet);
    }
    const double mean =
        has_rest ? std::log(least) - static_cast<double>(in.take(kMeanBits)) / kMeanSteps : 0;
    for (std::size_t i = begin; i < begin + count; ++i) {
      if (std::isnan(rows.log_probs[i])) rows.log_probs[i] = mean;
    }
    if (leading == begin + count) return;
    if (!(sum < 1)) fail<FormatError>(where_, ": the weights of a position leave nothing");
    rows.weights[leading] = 1 - sum;
    rows.log_probs[leading] = std::log1p(-sum);
  }

  std::int64_t draws_;
  std::int64_t vocabulary_;
  const std::string& where_;
};

}  // namespace

std::vector<std::byte> encode_sampled(std::span<const SampledRow> rows, std::int64_t draws,
                                      core::RandomState& random) {
  std::vector<std::byte> bytes;
  if (rows.empty()) return bytes;
  std::vector<std::int64_t> all_ids;
  for (const SampledRow& row : rows) all_ids.insert(all_ids.end(), row.ids.begin(), row.ids.end());
  const int order = best_order(all_ids);
  BitWriter out(bytes);
  out.put(static_cast<std::uint64_t>(order), kOrderBits);
  for (const SampledRow& row : rows) put_row(out, row, order, draws, random);
  out.finish();
  return bytes;
}

SampledRows decode_sampled(std::span<const std::byte> bytes, std::int64_t num_positions,
                           std::int64_t draws, std::int64_t vocabulary, const std::string& where) {
  SampledRows rows;
  rows.begins.push_back(0);
  if (num_positions == 0 && bytes.empty()) return rows;
  BitReader in(bytes);
  const int order = static_cast<int>(in.take(kOrderBits));
  const RowReader reader(draws, vocabulary, where);
  for (std::int64_t p = 0; p < num_positions && !in.overrun(); ++p) reader.read(in, order, rows);
  if (!in.at_end()) {
    fail<FormatError>(where, ": does not end where its ", num_positions, " positions do");
  }
  return rows;
}

}  // namespace distill::io

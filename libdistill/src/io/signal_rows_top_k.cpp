#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include <distill/core/error.h>
#include <distill/io/signal_rows.h>

#include "io/id_gaps.h"

namespace distill::io {

namespace {

// Part of the file format, do not change.
constexpr int kValueBits = 12;
constexpr double kValueSteps = 128;  // to a nat
constexpr int kMassBits = 15;
constexpr double kMassSteps = 512;
constexpr std::uint64_t kNoMass = (std::uint64_t{1} << kMassBits) - 1;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::uint64_t code_of(double log_prob, double steps, std::uint64_t largest) {
  const double code = std::round(-log_prob * steps);
  if (!(code > 0)) return 0;
  return code >= static_cast<double>(largest) ? largest : static_cast<std::uint64_t>(code);
}

/// log(1 - e^x), x < 0.
double log_of_rest(double x) {
  return x > -0.5 ? std::log(-std::expm1(x)) : std::log1p(-std::exp(x));
}

/// The smaller of both probabilities, of the listed ids and of all others: the other follows.
void put_masses(BitWriter& out, double log_others) {
  const bool others_are_less = log_others < std::log(0.5);
  out.put(others_are_less ? 1 : 0, 1);
  const double less = others_are_less ? log_others : log_of_rest(log_others);
  out.put(less == -kInfinity ? kNoMass : code_of(less, kMassSteps, kNoMass - 1), kMassBits);
}

/// log of the probability of the listed ids, and of all others.
std::pair<double, double> take_masses(BitReader& in) {
  const bool others_are_less = in.take(1) == 1;
  const std::uint64_t code = in.take(kMassBits);
  const double less =
      code == kNoMass ? -kInfinity : -std::max(static_cast<double>(code), 1.0) / kMassSteps;
  const double more = code == kNoMass ? 0 : log_of_rest(less);
  return others_are_less ? std::pair(more, less) : std::pair(less, more);
}

double log_sum_exp(std::span<const double> x) {
  const double largest = *std::max_element(x.begin(), x.end());
  double sum = 0;
  for (const double value : x) sum += std::exp(value - largest);
  return largest + std::log(sum);
}

}  // namespace

std::vector<std::byte> encode_top_k(const TopKRows& rows, std::int64_t num_positions) {
  std::vector<std::byte> bytes;
  if (num_positions == 0) return bytes;
  const auto k = rows.ids.size() / static_cast<std::size_t>(num_positions);
  BitWriter out(bytes);
  const int order = best_order(rows.ids);
  out.put(static_cast<std::uint64_t>(order), kOrderBits);
  for (std::size_t p = 0; p < static_cast<std::size_t>(num_positions); ++p) {
    put_ids(out, std::span(rows.ids).subspan(p * k, k), order);
    for (const double value : std::span(rows.log_probs).subspan(p * k, k)) {
      out.put(code_of(value, kValueSteps, (std::uint64_t{1} << kValueBits) - 1), kValueBits);
    }
    put_masses(out, rows.log_others[p]);
  }
  out.finish();
  return bytes;
}

TopKRows decode_top_k(std::span<const std::byte> bytes, std::int64_t num_positions, std::int64_t k,
                      std::int64_t vocabulary, const std::string& where) {
  TopKRows rows;
  if (num_positions == 0 && bytes.empty()) return rows;
  // An id takes a bit, a value its own: nothing is allocated that the bytes cannot fill.
  const auto entries = static_cast<std::uint64_t>(num_positions) * static_cast<std::uint64_t>(k);
  if (entries > 8 * bytes.size() / (kValueBits + 1) + 1) {
    fail<FormatError>(where, ": is cut off, it should hold ", num_positions, " positions");
  }
  rows.ids.resize(entries);
  rows.log_probs.resize(entries);
  BitReader in(bytes);
  const int order = static_cast<int>(in.take(kOrderBits));
  for (std::size_t p = 0; p < static_cast<std::size_t>(num_positions); ++p) {
    const auto begin = p * static_cast<std::size_t>(k);
    const auto ids = std::span(rows.ids).subspan(begin, static_cast<std::size_t>(k));
    const auto values = std::span(rows.log_probs).subspan(begin, static_cast<std::size_t>(k));
    if (!take_ids(in, ids, order, vocabulary)) {
      fail<FormatError>(where, ": holds an id that is not below ", vocabulary);
    }
    for (double& value : values) value = -static_cast<double>(in.take(kValueBits)) / kValueSteps;
    const auto [listed, others] = take_masses(in);
    // Rounding must not move probability between the listed ids and the others.
    const double shift = listed - log_sum_exp(values);
    for (double& value : values) value += shift;
    rows.log_others.push_back(others);
  }
  if (!in.at_end())
    fail<FormatError>(where, ": does not end where its ", num_positions, " positions do");
  return rows;
}

}  // namespace distill::io

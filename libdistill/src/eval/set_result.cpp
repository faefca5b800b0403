#include <distill/eval/set_result.h>

#include <algorithm>
#include <numeric>

#include <distill/core/error.h>

#include "eval/figures.h"
#include "eval/interval.h"

namespace distill::eval {

namespace {

using Places = std::vector<std::size_t>;

void add(RowValues& sums, const RowValues& row) {
  for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += row[i];
}

RowValues sum(const SetResult& result, const Places& places) {
  RowValues sums = {};
  for (const std::size_t place : places) add(sums, result.rows[place]);
  return sums;
}

/// The figures of each bootstrap sample of some rows of one model, or of one minus another: one
/// list of values for each figure.
std::vector<std::vector<double>> resampled(const SetResult& one, const SetResult* other,
                                           const Places& places) {
  const auto figures = formulas_of(one.kind);
  std::vector<std::vector<double>> values(figures.size());
  Resampling resampling(places.size());
  for (int sample = 0; sample < Resampling::kSamples; ++sample) {
    RowValues sums = {};
    RowValues other_sums = {};
    resampling.draw([&](std::size_t i) {
      add(sums, one.rows[places[i]]);
      if (other != nullptr) add(other_sums, other->rows[places[i]]);
    });
    for (std::size_t f = 0; f < figures.size(); ++f) {
      const double minus = other != nullptr ? figures[f].value(other_sums) : 0;
      values[f].push_back(figures[f].value(sums) - minus);
    }
  }
  return values;
}

std::vector<Estimate> estimates(const SetResult& result, const Places& places) {
  const auto figures = formulas_of(result.kind);
  const RowValues sums = sum(result, places);
  const bool all_shares =
      std::ranges::all_of(figures, [](const Figure& f) { return f.whole != nullptr; });
  const auto samples = all_shares ? std::vector<std::vector<double>>(figures.size())
                                  : resampled(result, nullptr, places);
  std::vector<Estimate> found;
  for (std::size_t f = 0; f < figures.size(); ++f) {
    const double value = figures[f].value(sums);
    const Interval interval =
        figures[f].whole != nullptr ? wilson(value, figures[f].whole(sums)) : middle(samples[f]);
    found.push_back({std::string(figures[f].name.name), value, interval.low, interval.high});
  }
  return found;
}

std::vector<Estimate> differences(const SetResult& one, const SetResult& other,
                                  const Places& places) {
  const auto figures = formulas_of(one.kind);
  const RowValues sums = sum(one, places);
  const RowValues other_sums = sum(other, places);
  const auto samples = resampled(one, &other, places);
  std::vector<Estimate> found;
  for (std::size_t f = 0; f < figures.size(); ++f) {
    const Interval interval = middle(samples[f]);
    found.push_back({std::string(figures[f].name.name),
                     figures[f].value(sums) - figures[f].value(other_sums), interval.low,
                     interval.high});
  }
  return found;
}

void require_same_rows(const SetResult& one, const SetResult& other) {
  if (one.kind == other.kind && one.rows.size() == other.rows.size()) return;
  fail<InputError>("results of ", one.rows.size(), " and ", other.rows.size(),
                   " rows cannot be compared; measure both models on the same set");
}

Places all_rows(const SetResult& result) {
  Places places(result.rows.size());
  std::iota(places.begin(), places.end(), 0);
  return places;
}

/// Calls take(name, places) for each category in the order of names.
void for_each_category(const SetResult& result, const auto& take) {
  std::vector<Places> places(result.categories.size());
  for (std::size_t i = 0; i < result.row_categories.size(); ++i) {
    places.at(result.row_categories[i]).push_back(i);
  }
  Places order(places.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::sort(order, {}, [&](std::size_t c) { return result.categories[c]; });
  for (const std::size_t c : order) take(result.categories[c], places[c]);
}

}  // namespace

std::vector<Estimate> estimates(const SetResult& result) {
  return estimates(result, all_rows(result));
}

std::vector<CategoryEstimates> estimates_by_category(const SetResult& result) {
  std::vector<CategoryEstimates> found;
  for_each_category(result, [&](const std::string& name, const Places& places) {
    found.push_back({name, std::ssize(places), estimates(result, places)});
  });
  return found;
}

std::vector<Estimate> differences(const SetResult& one, const SetResult& other) {
  require_same_rows(one, other);
  return differences(one, other, all_rows(one));
}

std::vector<CategoryEstimates> differences_by_category(const SetResult& one,
                                                       const SetResult& other) {
  require_same_rows(one, other);
  std::vector<CategoryEstimates> found;
  for_each_category(one, [&](const std::string& name, const Places& places) {
    found.push_back({name, std::ssize(places), differences(one, other, places)});
  });
  return found;
}

}  // namespace distill::eval

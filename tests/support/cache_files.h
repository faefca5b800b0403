#pragma once

#include <span>
#include <string>
#include <vector>

#include <distill/io/logit_cache_writer.h>
#include <distill/io/signal_rows.h>

namespace distill::testing {

inline io::LogitCacheSpec small_spec() {
  return {io::SignalForm::kTopK,
          3,
          50'000,
          1.0,
          {{"teacher", "models/T"}, {"tokenizer", "t-hash"}, {"train data", "d-hash"}}};
}

/// Signals that depend on the number alone.
inline io::TopKRows small_rows(std::uint64_t number, std::int64_t positions) {
  io::TopKRows rows;
  for (std::int64_t p = 0; p < positions; ++p) {
    const auto id = static_cast<std::int64_t>(number * 977 % 40'000) + p;
    rows.ids.insert(rows.ids.end(), {id, id + 5, id + 4000});
    rows.log_probs.insert(rows.log_probs.end(), {-1.0, -1.5, -2.0});
    rows.log_others.push_back(-1.25);
  }
  return rows;
}

inline io::CacheKey small_key(std::uint64_t number) {
  return {number * 0x9e3779b97f4a7c15u, number};
}

/// Segment `number` has 2 + number % 3 positions.
inline std::int64_t small_positions(std::uint64_t number) {
  return static_cast<std::int64_t>(2 + number % 3);
}

inline void add_segment(io::LogitCacheWriter& writer, std::uint64_t number) {
  const std::int64_t positions = small_positions(number);
  writer.add(small_key(number), positions,
             io::encode_top_k(small_rows(number, positions), positions));
}

/// A whole cache of segments 0 .. count - 1.
inline void write_small_cache(const std::filesystem::path& folder, std::uint64_t count,
                              const io::LogitCacheSpec& spec = small_spec()) {
  io::LogitCacheWriter writer(folder, spec, {});
  writer.find_written();
  for (std::uint64_t i = 0; i < count; ++i) add_segment(writer, i);
  writer.finish(static_cast<std::int64_t>(count));
}

}  // namespace distill::testing

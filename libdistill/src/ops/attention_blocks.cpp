#include "ops/attention_blocks.h"

#include <algorithm>

#include "ops/cpu/attention_rows.h"

namespace distill::ops {
namespace {

/// Rows of queries (tokens x heads of a group) whose scores stay in cache between the products.
constexpr std::int64_t kRowsPerBlock = 96;
constexpr std::int64_t kMostTokensPerBlock = 64;

class Cutter {
 public:
  explicit Cutter(const AttentionCut& cut) : cut_(cut) {
    blocks_.tokens = std::clamp<std::int64_t>(kRowsPerBlock / cut.group, 1, kMostTokensPerBlock);
  }

  void add_segment(std::int64_t begin, std::int64_t end) {
    if (begin == end) return;
    first_key_ = std::ssize(blocks_.keys);
    for (std::int64_t key = begin; key < end; key += kKeysPerBlock) {
      const std::int64_t count = std::min(kKeysPerBlock, end - key);
      const std::int64_t width = (count + cpu::kKeyStep - 1) / cpu::kKeyStep * cpu::kKeyStep;
      blocks_.keys.push_back({key, count, width, blocks_.packed_rows, 0, 0});
      blocks_.packed_rows += width;
    }
    const std::int64_t first_query = std::ssize(blocks_.queries);
    for (std::int64_t query = begin + cut_.first_query; query < end; query += blocks_.tokens) {
      add_queries(begin, query, std::min(blocks_.tokens, end - query));
    }
    const std::int64_t first_part = std::ssize(blocks_.parts);
    add_parts(first_query, end - begin);
    for (auto key = static_cast<std::size_t>(first_key_); key < blocks_.keys.size(); ++key) {
      blocks_.keys[key].first_part = first_part;
      blocks_.keys[key].end_part = std::ssize(blocks_.parts);
    }
  }

  AttentionBlocks take() { return std::move(blocks_); }

 private:
  void add_queries(std::int64_t segment, std::int64_t first, std::int64_t count) {
    const std::int64_t oldest =
        cut_.window > 0 ? std::max(segment, first - cut_.window + 1) : segment;
    blocks_.queries.push_back({.begin = first,
                               .count = count,
                               .row = query_rows_,
                               .first_key = key_block_of(oldest - segment),
                               .end_key = key_block_of(first + count - 1 - segment) + 1});
    query_rows_ += count;
    blocks_.num_scores += count * (first + count - oldest);
  }

  std::int64_t key_block_of(std::int64_t key) const { return first_key_ + key / kKeysPerBlock; }

  /// Enough parts to occupy many threads with one long sequence; each has sums of its own for the
  /// keys it sees, which bounds their number.
  std::int64_t num_parts(std::int64_t length) const {
    const std::int64_t by_length = length >= 1024 ? length / 256 : length >= 128 ? 2 : 1;
    return std::clamp<std::int64_t>(32 / cut_.kv_heads, 1, std::min<std::int64_t>(8, by_length));
  }

  /// Parts with about as much work each: a query block's is the number of keys it sees.
  void add_parts(std::int64_t first_query, std::int64_t length) {
    const auto& queries = blocks_.queries;
    const auto work = [&](std::int64_t query) {
      const QueryBlock& block = queries[static_cast<std::size_t>(query)];
      const KeyBlock& first = blocks_.keys[static_cast<std::size_t>(block.first_key)];
      return (block.begin + block.count - first.begin) * block.count;
    };
    const std::int64_t end_query = std::ssize(queries);
    std::int64_t total = 0;
    for (std::int64_t query = first_query; query < end_query; ++query) total += work(query);
    const std::int64_t parts = num_parts(length);
    std::int64_t done = 0;
    std::int64_t begin = first_query;
    for (std::int64_t part = 1; part <= parts && begin < end_query; ++part) {
      std::int64_t end = begin;
      do {
        done += work(end++);
      } while (end < end_query && done + work(end) / 2 <= total * part / parts);
      if (part == parts) end = end_query;
      add_part(begin, end);
      begin = end;
    }
  }

  void add_part(std::int64_t first_query, std::int64_t end_query) {
    const std::int64_t first_key = blocks_.queries[static_cast<std::size_t>(first_query)].first_key;
    const std::int64_t end_key = blocks_.queries[static_cast<std::size_t>(end_query - 1)].end_key;
    blocks_.parts.push_back({first_query, end_query, first_key, end_key, blocks_.part_rows});
    const KeyBlock& last = blocks_.keys[static_cast<std::size_t>(end_key - 1)];
    blocks_.part_rows +=
        last.packed + last.width - blocks_.keys[static_cast<std::size_t>(first_key)].packed;
  }

  AttentionCut cut_;
  AttentionBlocks blocks_;
  std::int64_t first_key_ = 0;
  std::int64_t query_rows_ = 0;
};

}  // namespace

AttentionBlocks cut_attention(const AttentionCut& cut) {
  Cutter cutter(cut);
  for (std::size_t s = 1; s < cut.segments.size(); ++s) {
    cutter.add_segment(cut.segments[s - 1], cut.segments[s]);
  }
  return cutter.take();
}

}  // namespace distill::ops

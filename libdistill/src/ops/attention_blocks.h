#pragma once

#include <cstdint>
#include <span>
#include <vector>

/// How the work of a fused attention is cut. Everything depends on shapes only, so that results do
/// not depend on the number of threads; a segment is cut the same whatever it is packed with.
namespace distill::ops {

/// Keys of one segment that are packed and multiplied together.
struct KeyBlock {
  std::int64_t begin = 0;  ///< row of the first
  std::int64_t count = 0;
  std::int64_t width = 0;       ///< count padded to a multiple of cpu::kKeyStep
  std::int64_t packed = 0;      ///< rows before it in packed memory
  std::int64_t first_part = 0;  ///< the parts of its segment
  std::int64_t end_part = 0;
};

/// Queries of one segment that are handled together, and the key blocks they see.
struct QueryBlock {
  std::int64_t begin = 0;  ///< position of the first among the keys' rows
  std::int64_t count = 0;
  std::int64_t row = 0;        ///< of the first among the queries
  std::int64_t first_key = 0;  ///< index among the key blocks
  std::int64_t end_key = 0;
};

/// Query blocks of one segment whose sums over queries are formed by one task.
struct AttentionPart {
  std::int64_t first_query = 0;  ///< index among the query blocks
  std::int64_t end_query = 0;
  std::int64_t first_key = 0;  ///< key blocks seen
  std::int64_t end_key = 0;
  std::int64_t packed = 0;  ///< rows before it in the memory of all parts' sums
};

struct AttentionBlocks {
  std::int64_t tokens = 0;  ///< of a full query block
  std::vector<KeyBlock> keys;
  std::vector<QueryBlock> queries;
  std::vector<AttentionPart> parts;
  std::int64_t packed_rows = 0;  ///< of all key blocks
  std::int64_t part_rows = 0;    ///< of all parts
  std::int64_t num_scores = 0;   ///< pairs of a query and a key in blocks that are computed
};

struct AttentionCut {
  std::span<const std::int64_t> segments;
  std::int64_t kv_heads = 1;
  std::int64_t group = 1;  ///< heads that share one key head
  std::int64_t window = 0;
  std::int64_t first_query = 0;  ///< in every segment: keys before it have no query
};

inline constexpr std::int64_t kKeysPerBlock = 128;

AttentionBlocks cut_attention(const AttentionCut& cut);

}  // namespace distill::ops

#include "ops/attention_operands.h"

#include <cstring>

#include "ops/cpu/divergence_table.h"

namespace distill::ops {
namespace {

/// Pairs of neighbours are read as one word.
bool readable(const at::Tensor& x) {
  return x.stride(2) == 1 && x.stride(0) % 2 == 0 && x.stride(1) % 2 == 0 &&
         reinterpret_cast<std::uintptr_t>(x.const_data_ptr()) % sizeof(std::uint32_t) == 0;
}

}  // namespace

HeadRows::HeadRows(const at::Tensor& x)
    : held_(readable(x) ? x : x.clone(at::MemoryFormat::Contiguous)),
      data_(static_cast<const cpu::Bf16*>(held_.const_data_ptr())),
      token_stride_(held_.stride(0)),
      head_stride_(held_.stride(1)),
      size_(held_.size(2)) {}

void gather_rows(const HeadRows& x, const QueryBlock& block, const AttentionSizes& sizes,
                 std::int64_t kv_head, cpu::Bf16* out) {
  const std::int64_t size = x.size();
  const std::size_t bytes = static_cast<std::size_t>(size) * sizeof(cpu::Bf16);
  for (std::int64_t token = block.row; token < block.row + block.count; ++token) {
    for (std::int64_t i = 0; i < sizes.group; ++i) {
      std::memcpy(out, x.at(token, kv_head * sizes.group + i), bytes);
      out += size;
    }
  }
  const std::int64_t rows = block.count * sizes.group;
  std::fill_n(out, (padded_query_rows(block.count, sizes.group) - rows) * size, cpu::Bf16{0});
}

void pack_transposed(const HeadRows& x, const KeyBlock& block, std::int64_t head, cpu::Bf16* out) {
  const std::int64_t pairs = x.size() / 2;
  auto* words = reinterpret_cast<std::uint32_t*>(out);
  cpu::divergence_kernels().transpose(
      reinterpret_cast<const std::uint32_t*>(x.at(block.begin, head)), x.token_stride() / 2, words,
      block.width, block.count, pairs);
  for (std::int64_t pair = 0; pair < pairs && block.count < block.width; ++pair) {
    std::fill(words + pair * block.width + block.count, words + (pair + 1) * block.width, 0U);
  }
}

void pack_pairs(const HeadRows& x, const KeyBlock& block, std::int64_t head, cpu::Bf16* out) {
  const std::int64_t size = x.size();
  const auto interleave = cpu::divergence_kernels().interleave;
  for (std::int64_t i = 0; i < block.count; i += 2) {
    const cpu::Bf16* second = i + 1 < block.count ? x.at(block.begin + i + 1, head) : nullptr;
    interleave(x.at(block.begin + i, head), second, out + i * size, size);
  }
  const std::int64_t written = (block.count + 1) / 2 * 2;
  std::fill(out + written * size, out + block.width * size, cpu::Bf16{0});
}

}  // namespace distill::ops

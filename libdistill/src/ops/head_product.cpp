#include <distill/ops/head_product.h>

#include <algorithm>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>

#include "ops/brgemm.h"
#include "ops/few_rows.h"
#include "ops/kernel_call.h"

namespace distill::ops {

namespace {

using cpu::Bf16;

/// Rows are padded to a multiple of the step, and multiplied so many at a time.
constexpr std::int64_t kRowStep = 16;
constexpr std::int64_t kTile = 64;

at::Tensor padded_to_step(const at::Tensor& hidden) {
  const std::int64_t rows = hidden.size(0);
  const std::int64_t padded = (rows + kRowStep - 1) / kRowStep * kRowStep;
  if (padded == rows) return hidden.contiguous();
  at::Tensor result = at::empty({padded, hidden.size(1)}, hidden.options());
  result.narrow(0, 0, rows).copy_(hidden);
  result.narrow(0, rows, padded - rows).zero_();
  return result;
}

at::Tensor product_by_brgemm(const at::Tensor& hidden, const at::Tensor& head) {
  const std::int64_t rows = hidden.size(0);
  const std::int64_t width = head.size(1);
  const std::int64_t vocabulary = head.size(0);
  const at::Tensor padded = padded_to_step(hidden);
  const auto* a = static_cast<const Bf16*>(padded.const_data_ptr());
  at::Tensor out = at::empty({rows, vocabulary}, at::kFloat);
  auto* c = out.data_ptr<float>();
  const std::int64_t blocks = (vocabulary + kHeadBlock - 1) / kHeadBlock;
  at::parallel_for(0, blocks, 1, [&](std::int64_t begin, std::int64_t end) {
    std::vector<std::uint32_t> packed(static_cast<std::size_t>(width / 2 * kHeadBlock));
    std::vector<float> tile(kTile * kHeadBlock);
    for (std::int64_t block = begin; block < end; ++block) {
      const std::int64_t first = block * kHeadBlock;
      const std::int64_t ids = std::min(kHeadBlock, vocabulary - first);
      pack_head_block(head, first, ids, packed.data());
      for (std::int64_t row = 0; row < rows; row += kTile) {
        const std::int64_t count = std::min(kTile, padded.size(0) - row);
        brgemm({count, kHeadBlock, width, width, kHeadBlock, kHeadBlock, false}, a + row * width,
               reinterpret_cast<const Bf16*>(packed.data()), tile.data());
        for (std::int64_t r = 0; r < std::min(count, rows - row); ++r) {
          std::copy_n(tile.data() + r * kHeadBlock, ids, c + (row + r) * vocabulary + first);
        }
      }
    }
    release_brgemm();
  });
  return out;
}

/// Slices of the head, each converted by itself.
at::Tensor product_by_slices(const at::Tensor& hidden, const at::Tensor& head) {
  constexpr std::int64_t kSlice = 2048;
  const at::Tensor wide = hidden.to(at::kFloat);
  at::Tensor out = at::empty({hidden.size(0), head.size(0)}, at::kFloat);
  for (std::int64_t first = 0; first < head.size(0); first += kSlice) {
    const std::int64_t count = std::min(kSlice, head.size(0) - first);
    at::Tensor part = out.narrow(1, first, count);
    at::mm_out(part, wide, head.narrow(0, first, count).to(at::kFloat).t());
  }
  return out;
}

}  // namespace

at::Tensor head_product(const at::Tensor& hidden, const at::Tensor& head) {
  check_float(head, "head_product", "head");
  check_same_type(hidden, head, "head_product", "hidden");
  TORCH_CHECK(hidden.dim() == 2 && head.dim() == 2 && hidden.size(1) == head.size(1),
              "head_product: `hidden` is ", hidden.sizes(), " and `head` ", head.sizes(),
              ", expected [N, H] and [V, H]");
  if (needs_graph({hidden, head})) {
    const at::ScalarType wide = accumulator_type(head.scalar_type());
    return at::mm(hidden.to(wide), head.to(wide).t());
  }
  if (head.scalar_type() != at::kBFloat16) return at::mm(hidden, head.t());
  if (head.is_cuda()) return at::mm(hidden, head.t(), at::kFloat);
  if (are_few_rows(hidden, head)) return few_rows_product(hidden, head);
  const bool even = head.size(1) % 2 == 0 && head.size(1) > 0;
  if (cpu_has_brgemm() && even) return product_by_brgemm(hidden, head.contiguous());
  return product_by_slices(hidden, head);
}

}  // namespace distill::ops

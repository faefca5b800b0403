#include "models/fp8_weights.h"

#include <algorithm>

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>

namespace distill::models {

at::Tensor dequantise(const at::Tensor& stored, const at::Tensor& scale, const Fp8Block& block,
                      c10::ScalarType dtype) {
  const std::int64_t rows = stored.size(0), columns = stored.size(1);
  at::Tensor result = at::empty({rows, columns}, dtype);
  const at::Tensor scales = scale.to(at::kFloat);
  // One strip of blocks at a time, so that no fp32 copy of the whole is needed.
  for (std::int64_t strip = 0; strip < scales.size(0); ++strip) {
    const std::int64_t begin = strip * block.rows;
    const std::int64_t count = std::min(block.rows, rows - begin);
    const at::Tensor by_column =
        scales[strip].repeat_interleave(std::min(block.columns, columns)).narrow(0, 0, columns);
    result.narrow(0, begin, count).copy_(stored.narrow(0, begin, count).to(at::kFloat) * by_column);
  }
  return result;
}

}  // namespace distill::models

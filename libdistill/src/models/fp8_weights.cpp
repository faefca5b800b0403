#include "models/fp8_weights.h"

#include <algorithm>

#include <ATen/TensorOperators.h>

namespace distill::models {

at::Tensor dequantise_strip(const at::Tensor& stored, const at::Tensor& scale,
                            const Fp8Block& block, std::int64_t strip, const at::Tensor& weight) {
  const std::int64_t rows = stored.size(0), columns = stored.size(1);
  const std::int64_t begin = strip * block.rows;
  const std::int64_t count = std::min(block.rows, rows - begin);
  const at::Tensor by_column =
      scale[strip].repeat_interleave(std::min(block.columns, columns)).narrow(0, 0, columns);
  const at::Tensor result = weight.narrow(0, begin, count);
  result.copy_(stored.narrow(0, begin, count).to(at::kFloat).mul_(by_column));
  return result;
}

}  // namespace distill::models

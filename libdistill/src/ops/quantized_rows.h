#pragma once

#include <cstdint>

#include <distill/ops/quantized_matrix.h>

#include "ops/cpu/scalar_types.h"

namespace distill::ops {

/// Parts of rows of a quantised matrix in memory of the CPU, which must outlive this.
class QuantizedRows {
 public:
  explicit QuantizedRows(const QuantizedMatrix& matrix);
  /// Elements [first, first + count) of a row.
  void read(std::int64_t row, std::int64_t first, std::int64_t count, cpu::Bf16* out) const;
  void read(std::int64_t row, std::int64_t first, std::int64_t count, float* out) const;

 private:
  template <class T>
  void read_as(std::int64_t row, std::int64_t first, std::int64_t count, T* out) const;

  const QuantizedMatrix* matrix_;
  const void* codes_;
  const void* scales_;
  const float* steps_;
};

}  // namespace distill::ops

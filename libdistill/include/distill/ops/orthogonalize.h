#pragma once

#include <cstdint>
#include <optional>

#include <ATen/core/Tensor.h>

namespace distill::ops {

/// The matrix [rows, columns] with its singular values brought near 1 (into 0.68 to 1.21 after five
/// iterations, those above 0.0015 of the norm), its singular vectors kept: the
/// quintic Newton-Schulz iteration of Muon (Jordan et al. 2024). Products are formed in `dtype`,
/// which the result has too; empty: the quickest, bf16, or fp32 on a CPU without products of bf16.
/// That is enough for an update. Of zeros: zeros. No gradient flows through it.
at::Tensor orthogonalized(const at::Tensor& matrix, std::int64_t iterations,
                          std::optional<c10::ScalarType> dtype = {});

}  // namespace distill::ops

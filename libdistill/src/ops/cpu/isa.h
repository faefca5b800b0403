#pragma once

#include <vector>

#include "ops/cpu/kernel_table.h"

namespace distill::ops::cpu {

/// Instruction sets the kernels are compiled for, weakest first.
enum class Isa { kPortable, kAvx2, kAvx512 };

/// What this build holds and this machine can run, weakest first; never empty.
std::vector<Isa> supported_isas();
Isa best_isa();

/// The kernels for one of supported_isas(); for any other the portable ones.
const KernelTable& kernels_for(Isa isa);
/// The kernels of best_isa().
const KernelTable& kernels();

template <class T>
const TypedKernels<T>& typed_kernels(const KernelTable& table = kernels());
template <>
inline const TypedKernels<float>& typed_kernels<float>(const KernelTable& table) {
  return table.f32;
}
template <>
inline const TypedKernels<Bf16>& typed_kernels<Bf16>(const KernelTable& table) {
  return table.bf16;
}
template <>
inline const TypedKernels<double>& typed_kernels<double>(const KernelTable& table) {
  return table.f64;
}

}  // namespace distill::ops::cpu

#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include <distill/nn/adapter.h>

namespace distill::lora {

/// scale B A becomes the part of `weight` [out, in] along its `rank` largest singular directions,
/// found by random projection (Halko, Martinsson, Tropp 2011, algorithm 4.4), and is subtracted
/// from it; A and B share the square roots of the singular values (Meng et al. 2024, equations 2
/// and 3). What was subtracted is kept as start_a and start_b. Writes to `weight`.
void take_principal_part(at::Tensor& weight, nn::Adapter& adapter, std::uint64_t seed);

}  // namespace distill::lora

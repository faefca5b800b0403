#pragma once

#include <cstdint>
#include <string>

#include <distill/ops/quantized_matrix.h>

namespace distill::models {

/// The weights of a model that are held in few bits, and what that cost.
struct Quantization {
  ops::WeightFormat format = ops::WeightFormat::kInt8;
  std::int64_t weights = 0;       ///< elements
  std::uint64_t bytes = 0;        ///< that they take, scales included
  std::uint64_t dense_bytes = 0;  ///< that they would take in the model's dtype
  double error = 0;               ///< root mean square of what was lost over that of the weights
  std::string worst;              ///< the tensor that lost most
  double worst_error = 0;         ///< the same of it alone

  double bits_per_weight() const;
};

/// `106,168,320 weights in nf4 of 4.13 bits, 52.2 MiB instead of 202.5 MiB; ...`, for people.
std::string describe(const Quantization& quantization);

}  // namespace distill::models

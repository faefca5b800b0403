#pragma once

#include <string>

#include <distill/models/quantization.h>

namespace distill::models {

/// Adds up what quantising a model's weights costs.
class QuantizationTally {
 public:
  explicit QuantizationTally(ops::WeightFormat format) { sum_.format = format; }
  /// `weight` in the model's dtype, as it was quantised.
  void add(const std::string& name, const at::Tensor& weight, const ops::QuantizedMatrix& matrix);
  Quantization result() const;

 private:
  Quantization sum_;
  ops::QuantizationLoss loss_;
};

}  // namespace distill::models

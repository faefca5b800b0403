#include "models/quantization_tally.h"

namespace distill::models {

void QuantizationTally::add(const std::string& name, const at::Tensor& weight,
                            const ops::QuantizedMatrix& matrix) {
  sum_.weights += weight.numel();
  sum_.bytes += ops::bytes(matrix);
  sum_.dense_bytes += weight.nbytes();
  const ops::QuantizationLoss own = ops::quantization_loss(weight, matrix);
  loss_.lost += own.lost;
  loss_.weight += own.weight;
  if (!sum_.worst.empty() && own.relative() <= sum_.worst_error) return;
  sum_.worst = name;
  sum_.worst_error = own.relative();
}

Quantization QuantizationTally::result() const {
  Quantization result = sum_;
  result.error = loss_.relative();
  return result;
}

}  // namespace distill::models

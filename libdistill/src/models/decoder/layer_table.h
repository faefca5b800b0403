#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <distill/nn/linear.h>
#include <distill/nn/norm.h>

#include "models/parameter_slot.h"

namespace distill::models::decoder {

/// Adds the rows of one layer to a model's name table. The slots point at the tensors, which must
/// not move. Names are those of the files behind `model.layers.N.`
class LayerTable {
 public:
  LayerTable(std::vector<ParameterSlot>& slots, std::int64_t layer)
      : slots_(&slots), layer_(layer) {}

  ParameterSlot& weight(const std::string& name, std::vector<std::int64_t> shape,
                        at::Tensor& tensor);
  void linear(const std::string& name, std::int64_t out, std::int64_t in, bool bias,
              nn::Linear& linear);
  void norm(const std::string& name, std::int64_t size, double eps, nn::RmsNorm& norm);

  /// From now on rows belong to an expert that a token passes (false) or one beyond these (true).
  void set_idle(bool idle) { idle_ = idle; }
  /// From now on rows belong to one expert of many.
  void set_routed(bool routed) { routed_ = routed; }

 private:
  std::vector<ParameterSlot>* slots_;
  std::int64_t layer_;
  bool idle_ = false;
  bool routed_ = false;
};

}  // namespace distill::models::decoder

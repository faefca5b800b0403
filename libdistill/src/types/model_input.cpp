#include <distill/types/model_input.h>

#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>

namespace distill::types {

ModelInput single_sequence(const at::Tensor& ids) {
  return {ids,
          at::arange(ids.size(0), at::TensorOptions(at::kLong).device(ids.device())),
          {0, ids.size(0)}};
}

ModelInput pack(const std::vector<std::vector<std::int64_t>>& sequences) {
  ModelInput input;
  input.segments.push_back(0);
  for (const auto& sequence : sequences) {
    input.segments.push_back(input.segments.back() + static_cast<std::int64_t>(sequence.size()));
  }
  input.input_ids = at::empty({input.segments.back()}, at::kLong);
  input.position_ids = at::empty({input.segments.back()}, at::kLong);
  auto* ids = input.input_ids.data_ptr<std::int64_t>();
  auto* positions = input.position_ids.data_ptr<std::int64_t>();
  for (const auto& sequence : sequences) {
    for (std::size_t i = 0; i < sequence.size(); ++i) {
      *ids++ = sequence[i];
      *positions++ = static_cast<std::int64_t>(i);
    }
  }
  return input;
}

}  // namespace distill::types

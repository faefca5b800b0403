#include <distill/types/joined_input.h>

#include <ATen/ops/cat.h>

namespace distill::types {

ModelInput joined(const std::vector<ModelInput>& inputs) {
  std::vector<at::Tensor> ids, positions;
  ModelInput all;
  all.segments = {0};
  for (const auto& input : inputs) {
    const std::int64_t begin = all.segments.back();
    ids.push_back(input.input_ids);
    positions.push_back(input.position_ids);
    for (std::size_t i = 1; i < input.segments.size(); ++i) {
      all.segments.push_back(begin + input.segments[i]);
    }
  }
  all.input_ids = at::cat(ids);
  all.position_ids = at::cat(positions);
  return all;
}

}  // namespace distill::types

#include "models/check_input.h"

#include <algorithm>
#include <span>

#include <ATen/ops/aminmax.h>
#include <ATen/ops/stack.h>

#include <distill/core/error.h>
#include <distill/nn/kv_cache.h>

namespace distill::models {

namespace {

void require_list(const at::Tensor& list, const char* name) {
  if (!list.defined() || list.dim() != 1 || list.scalar_type() != at::kLong) {
    fail<InputError>(name, " must be an int64 list");
  }
}

void require_range(const at::Tensor& list, std::int64_t end, const char* what, const char* limit) {
  if (list.numel() == 0) return;
  const auto [low, high] = at::aminmax(list);
  const at::Tensor both = at::stack({low, high}).cpu();  // a GPU is waited for once
  const std::int64_t smallest = both.const_data_ptr<std::int64_t>()[0];
  const std::int64_t largest = both.const_data_ptr<std::int64_t>()[1];
  if (smallest >= 0 && largest < end) return;
  fail<InputError>(what, " ", smallest < 0 ? smallest : largest, " is outside the model's ", limit,
                   ", expected 0 to ", end - 1);
}

void require_borders(std::span<const std::int64_t> segments, std::int64_t count) {
  bool in_order = !segments.empty() && segments.front() == 0 && segments.back() == count;
  for (std::size_t i = 1; i < segments.size(); ++i) in_order &= segments[i - 1] <= segments[i];
  if (in_order) return;
  fail<InputError>("segments must rise from 0 to the number of ids (", count, ")");
}

}  // namespace

void check_input(const types::ModelInput& input, const ModelShape& shape) {
  require_list(input.input_ids, "input_ids");
  require_list(input.position_ids, "position_ids");
  const std::int64_t count = input.input_ids.size(0);
  if (input.position_ids.size(0) != count) {
    fail<InputError>("position_ids has ", input.position_ids.size(0), " entries, input_ids has ",
                     count);
  }
  require_borders(input.segments, count);
  require_range(input.input_ids, shape.vocab_size, "id", "vocabulary");
  require_range(input.position_ids, shape.max_positions, "position", "positions");
}

void check_layers(const types::LayerRequest& wanted, const ModelShape& shape) {
  for (const auto* list : {&wanted.hidden, &wanted.attention}) {
    for (const std::int64_t layer : *list) {
      if (layer >= 0 && layer < shape.num_layers) continue;
      fail<InputError>("layer ", layer, " is wanted, the model has the layers 0 to ",
                       shape.num_layers - 1);
    }
  }
}

void check_next_ids(const at::Tensor& ids, const nn::CachedSequences& sequences,
                    const ModelShape& shape) {
  require_list(ids, "ids");
  require_range(ids, shape.vocab_size, "id", "vocabulary");
  const auto& [segments, caches] = sequences;
  require_borders(segments, ids.size(0));
  if (caches.empty()) fail<InputError>("there is no sequence to go on with");
  if (caches.size() + 1 != segments.size()) {
    fail<InputError>(segments.size() - 1, " sequences go on with ", caches.size(),
                     " caches, expected one for each");
  }
  for (std::size_t s = 0; s < caches.size(); ++s) {
    if (caches[s] == nullptr || std::count(caches.begin(), caches.end(), caches[s]) > 1) {
      fail<InputError>("sequence ", s, " has no cache of its own");
    }
    const std::int64_t tokens = caches[s]->length() + segments[s + 1] - segments[s];
    if (tokens <= shape.max_positions) continue;
    fail<InputError>("a sequence of ", tokens, " tokens does not fit the model's ",
                     shape.max_positions, " positions");
  }
}

}  // namespace distill::models

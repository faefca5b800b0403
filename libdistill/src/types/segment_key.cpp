#include <distill/types/segment_key.h>

#include <span>

#include <distill/core/hash.h>

namespace distill::types {

std::vector<SegmentKey> segment_keys(const Batch& batch) {
  const at::Tensor ids_N = batch.input.input_ids.cpu().contiguous();
  const at::Tensor mask_N = batch.loss_mask.cpu().contiguous();
  const std::span ids(ids_N.const_data_ptr<std::int64_t>(),
                      static_cast<std::size_t>(ids_N.numel()));
  const std::span mask(mask_N.const_data_ptr<bool>(), static_cast<std::size_t>(mask_N.numel()));
  const auto& segments = batch.input.segments;
  std::vector<SegmentKey> keys;
  for (std::size_t s = 0; s + 1 < segments.size(); ++s) {
    const auto begin = static_cast<std::size_t>(segments[s]);
    const auto count = static_cast<std::size_t>(segments[s + 1]) - begin;
    core::Hasher hasher;
    hasher.add(std::as_bytes(ids.subspan(begin, count)));
    hasher.add(std::as_bytes(mask.subspan(begin, count)));
    keys.push_back({hasher.words()});
  }
  return keys;
}

}  // namespace distill::types

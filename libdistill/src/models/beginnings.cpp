#include <distill/models/beginnings.h>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>

#include <distill/nn/kv_cache.h>

namespace distill::models {

namespace {

types::ModelOutput run(CausalLm& model, std::span<const std::int64_t> ids,
                       std::span<const std::int64_t> segments,
                       const std::vector<nn::KvCache*>& caches) {
  const at::NoGradGuard no_graph;
  return model.forward_cached(
      at::tensor(at::IntArrayRef(ids.data(), ids.size()), at::kLong).to(model.device()),
      nn::CachedSequences{segments, caches});
}

}  // namespace

Beginnings::Beginnings(CausalLm& model) : model_(model) {}
Beginnings::~Beginnings() = default;

types::ModelOutput Beginnings::read(std::span<const std::int64_t> ids,
                                    std::span<const std::int64_t> segments) {
  std::vector<nn::KvCache*> caches;
  for (std::size_t i = 0; i + 1 < segments.size(); ++i) {
    caches_.push_back(model_.make_cache());
    caches.push_back(caches_.back().get());
    lengths_.push_back(segments[i + 1] - segments[i]);
  }
  return run(model_, ids, segments, caches);
}

types::ModelOutput Beginnings::go_on(std::span<const std::int64_t> ids,
                                     std::span<const std::int64_t> segments,
                                     std::span<const std::size_t> which) {
  std::vector<nn::KvCache*> caches;
  for (const std::size_t i : which) {
    caches_.at(i)->shorten(lengths_[i]);
    caches.push_back(caches_[i].get());
  }
  return run(model_, ids, segments, caches);
}

}  // namespace distill::models

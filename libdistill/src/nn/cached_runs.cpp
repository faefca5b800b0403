#include "nn/cached_runs.h"

#include <ATen/ops/cat.h>

#include <distill/nn/kv_cache.h>

namespace distill::nn {

at::Tensor attend_in_runs(const CachedSequences& sequences,
                          const std::function<at::Tensor(const CachedRun&)>& attend) {
  const auto& [segments, caches] = sequences;
  const auto is_new = [&](std::size_t s) { return caches[s]->length() == 0; };
  std::vector<at::Tensor> parts;
  for (std::size_t first = 0; first < caches.size();) {
    CachedRun run{is_new(first), segments[first], {0}, {}};
    std::size_t last = first;
    for (; last < caches.size() && is_new(last) == run.is_new; ++last) {
      run.segments.push_back(segments[last + 1] - run.first_row);
    }
    run.caches = caches.subspan(first, last - first);
    parts.push_back(attend(run));
    first = last;
  }
  return parts.size() == 1 ? parts.front() : at::cat(parts);
}

}  // namespace distill::nn

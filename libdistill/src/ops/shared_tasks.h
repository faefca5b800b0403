#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include <ATen/Parallel.h>

#include "ops/brgemm.h"

namespace distill::ops {

/// Scores below which starting another thread costs more than it saves.
inline constexpr std::int64_t kWorkForThreads = 1 << 14;

/// Runs worker(claim) on the threads there are; claim() hands out 0 .. count - 1 in order, one at a
/// time, then -1, so that a thread that was held up takes fewer. `work`: about as much as so many
/// scores of an attention head.
template <class Worker>
void share_tasks(std::int64_t count, std::int64_t work, Worker worker) {
  std::atomic<std::int64_t> next{0};
  const auto claim = [&]() -> std::int64_t {
    const std::int64_t task = next.fetch_add(1, std::memory_order_relaxed);
    return task < count ? task : -1;
  };
  const std::int64_t most = work < kWorkForThreads ? 1 : at::get_num_threads();
  const std::int64_t threads = std::min(most, count);
  at::parallel_for(0, threads, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) worker(claim);
    release_brgemm();
  });
}

}  // namespace distill::ops

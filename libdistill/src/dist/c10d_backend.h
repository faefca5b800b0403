#pragma once

#include <chrono>
#include <string>

#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>

namespace distill::dist::detail {

/// The only place that needs gloo's headers, which LibTorch leaves out of its packages. `host`:
/// this machine's address for the connection. Waits for the other ranks.
c10::intrusive_ptr<c10d::Backend> make_gloo(const c10::intrusive_ptr<c10d::Store>& store, int rank,
                                            int size, const std::string& host,
                                            std::chrono::milliseconds timeout);

}  // namespace distill::dist::detail

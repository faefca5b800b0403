#pragma once

#include <atomic>
#include <string>

#include <unistd.h>

namespace distill::testing {

/// A name of shared memory that no other test has.
inline std::string scratch_name() {
  static std::atomic<int> number{0};
  return "test-" + std::to_string(::getpid()) + "-" + std::to_string(number++);
}

}  // namespace distill::testing

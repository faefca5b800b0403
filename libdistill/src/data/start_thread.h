#pragma once

#include <system_error>
#include <thread>
#include <utility>

#include <distill/core/error.h>

namespace distill::data {

/// A thread that does `work`. Throws Error where the system makes none.
template <class Work>
std::thread start_thread(Work&& work) {
  try {
    return std::thread(std::forward<Work>(work));
  } catch (const std::system_error& error) {
    fail<Error>("could not start a thread: ", error.code().message(),
                "; look at the limits of processes and memory (ulimit -u, those of the container)");
  }
}

}  // namespace distill::data

#pragma once

#include <iostream>
#include <string_view>

#include <unistd.h>

#include <distill/core/stop_flag.h>

namespace distill::cli {

/// From now on SIGINT and SIGTERM request it; a second one ends the program at once.
const core::StopFlag* stop_on_signals();

/// Its progress is shown, and signals stop it.
template <class Options>
void watch(Options& options) {
  options.stop = stop_on_signals();
  options.progress.terminal = ::isatty(STDERR_FILENO) != 0;
  options.progress.output = [](std::string_view text) { std::cerr << text << std::flush; };
}

}  // namespace distill::cli

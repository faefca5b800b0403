#include "signals.h"

#include <csignal>

namespace distill::cli {

namespace {

core::StopFlag stop_flag;  // a signal handler has nothing else to reach it by

void on_signal(int signal) {
  stop_flag.request(signal);
  std::signal(signal, SIG_DFL);  // the second one ends the program at once
}

}  // namespace

const core::StopFlag* stop_on_signals() {
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
  return &stop_flag;
}

}  // namespace distill::cli

#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace distill::testing {

struct ProgramOptions {
  std::string input = {};                               ///< given on standard input
  std::map<std::string, std::string> environment = {};  ///< added to ours
  /// Called every few milliseconds while it runs; a signal number to send, or 0.
  std::function<int(std::chrono::milliseconds elapsed)> signal = {};
};

struct ProgramResult {
  int exit_code = -1;  ///< or -1 when a signal ended it
  int signal = 0;      ///< that signal
  std::string out;
  std::string err;
};

/// Runs a program to its end and collects what it wrote.
ProgramResult run_program(const std::vector<std::string>& arguments,
                          const ProgramOptions& options = {});

}  // namespace distill::testing

#pragma once

#include <string>
#include <vector>

#include <distill/core/log.h>

namespace distill::testing {

/// Keeps what was logged.
class RecordingLogger : public core::Logger {
 public:
  void write(core::LogLevel level, std::string_view message) override {
    lines.emplace_back(message);
    levels.push_back(level);
  }
  bool has(std::string_view part) const {
    for (const auto& line : lines) {
      if (line.find(part) != std::string::npos) return true;
    }
    return false;
  }

  std::vector<std::string> lines;
  std::vector<core::LogLevel> levels;
};

}  // namespace distill::testing

#pragma once

#include <memory>
#include <string_view>

#include <distill/core/strings.h>

namespace distill::core {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

/// Where messages for people go. Components take a `Logger&`; nothing in the library is global.
class Logger {
 public:
  virtual ~Logger() = default;
  virtual void write(LogLevel level, std::string_view message) = 0;

  template <class... Parts>
  void debug(const Parts&... parts) {
    write(LogLevel::kDebug, concat(parts...));
  }
  template <class... Parts>
  void info(const Parts&... parts) {
    write(LogLevel::kInfo, concat(parts...));
  }
  template <class... Parts>
  void warning(const Parts&... parts) {
    write(LogLevel::kWarning, concat(parts...));
  }
  template <class... Parts>
  void error(const Parts&... parts) {
    write(LogLevel::kError, concat(parts...));
  }
};

struct ConsoleLogOptions {
  LogLevel level = LogLevel::kInfo;  ///< messages below it are dropped
  bool colour = false;               ///< ANSI colours for warnings and errors
  /// A message takes the place of a progress bar on the terminal's last line; the bar is drawn
  /// again below it.
  bool terminal = false;
};

/// A logger that writes plain lines to stderr. Safe to use from several threads.
std::unique_ptr<Logger> make_console_logger(const ConsoleLogOptions& options);

/// A logger that drops everything.
std::unique_ptr<Logger> make_null_logger();

}  // namespace distill::core

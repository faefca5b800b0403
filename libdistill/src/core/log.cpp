#include <distill/core/log.h>

#include <spdlog/sinks/ansicolor_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace distill::core {

namespace {

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

class ConsoleLogger final : public Logger {
 public:
  explicit ConsoleLogger(const ConsoleLogOptions& options)
      : plain_("plain", make_sink(options.colour)), marked_("marked", make_sink(options.colour)) {
    const std::string clear_line = options.terminal ? "\r\x1b[K" : "";
    plain_.set_pattern(clear_line + "%v");
    marked_.set_pattern(clear_line + "%^%l%$: %v");
    for (auto* logger : {&plain_, &marked_}) {
      logger->set_level(to_spdlog(options.level));
      logger->flush_on(spdlog::level::debug);
    }
  }

  void write(LogLevel level, std::string_view message) override {
    auto& logger = level == LogLevel::kInfo ? plain_ : marked_;
    logger.log(to_spdlog(level), spdlog::string_view_t(message.data(), message.size()));
  }

 private:
  static spdlog::sink_ptr make_sink(bool colour) {
    if (colour) {
      return std::make_shared<spdlog::sinks::ansicolor_stderr_sink_mt>(spdlog::color_mode::always);
    }
    return std::make_shared<spdlog::sinks::stderr_sink_mt>();
  }

  spdlog::logger plain_;   // what a user reads as text
  spdlog::logger marked_;  // begins with its level
};

class NullLogger final : public Logger {
 public:
  void write(LogLevel, std::string_view) override {}
};

}  // namespace

std::unique_ptr<Logger> make_console_logger(const ConsoleLogOptions& options) {
  return std::make_unique<ConsoleLogger>(options);
}

std::unique_ptr<Logger> make_null_logger() {
  return std::make_unique<NullLogger>();
}

}  // namespace distill::core

#include "pipeline/tokenizing_progress.h"

#include <cstdio>

#include <distill/core/strings.h>

namespace distill::pipeline {

core::ProgressOptions bar_options(const std::string& label, const RunOptions& options,
                                  core::Logger& log) {
  core::ProgressOptions bar;
  bar.label = options.label.empty() ? label : options.label + " " + label;
  bar.terminal = options.terminal;
  bar.width = options.width;
  if (options.quiet) return bar;
  if (options.terminal) {
    bar.output = [](std::string_view text) { std::fwrite(text.data(), 1, text.size(), stderr); };
  } else {
    bar.output = [&log](std::string_view text) {
      log.write(core::LogLevel::kInfo, text.substr(0, text.find('\n')));
    };
  }
  return bar;
}

TokenizingProgress::TokenizingProgress(const RunOptions& options, core::Logger& log)
    : cache_folder_(options.cache_folder), bar_(bar_options("tokenizing", options, log)) {}

recipe::DataHooks TokenizingProgress::hooks(std::function<void()> between_rows) {
  return {.between_rows = std::move(between_rows),
          .progress =
              [this](const data::ReadProgress& done) {
                bar_.update(static_cast<double>(done.bytes), static_cast<double>(done.total_bytes),
                            core::concat(core::with_thousands(done.documents), " documents, ",
                                         core::with_thousands(done.tokens), " tokens"));
              },
          .cache_folder = cache_folder_};
}

}  // namespace distill::pipeline

#pragma once

#include <filesystem>
#include <iosfwd>
#include <string>
#include <vector>

#include <distill/core/log.h>
#include <distill/pipeline/capture.h>

namespace distill::commands {

struct CacheCommandOptions {
  std::filesystem::path recipe;
  std::vector<std::string> overrides;  ///< `path.to.key=value`
  bool json = false;
  pipeline::CaptureOptions capture = {};
};

/// Captures what the recipe's teacher (`kind: cache`, with `model`) says about `data.train` and
/// `data.eval`, and writes what came of it as a line or one JSON object.
void run_cache_command(const CacheCommandOptions& options, std::ostream& out, core::Logger& log);

}  // namespace distill::commands

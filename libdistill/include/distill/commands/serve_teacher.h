#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>

#include <distill/commands/model_source.h>
#include <distill/core/log.h>
#include <distill/core/stop_flag.h>

namespace distill::commands {

struct ServeTeacherOptions {
  ModelSource source;        ///< its dtype is also that of what is handed over
  std::string shared;        ///< name of shared memory; or
  std::string listen;        ///< HOST:PORT, over c10d
  std::int64_t threads = 0;  ///< of one pass; 0: as many as LibTorch takes
  bool stay = false;         ///< wait for others when the last student has gone
  bool json = false;
  const core::StopFlag* stop = nullptr;
};

/// Hands the model's last hidden states to students (`teacher: {kind: process}`) until the last of
/// them has gone or `stop` is requested, and writes what came of it as a line or one JSON object.
void serve_teacher(const ServeTeacherOptions& options, std::ostream& out, core::Logger& log);

}  // namespace distill::commands

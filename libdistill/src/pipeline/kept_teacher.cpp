#include "pipeline/kept_teacher.h"

#include <cstdint>

#include <distill/core/error.h>
#include <distill/core/files.h>
#include <distill/core/paths.h>

namespace distill::pipeline {

namespace {

constexpr std::uint64_t kMostBytes = std::uint64_t{4} << 20;

void check(const std::filesystem::path& path, teachers::Teacher& teacher) {
  std::string kept = core::read_file(path, kMostBytes);
  if (kept.ends_with('\n')) kept.pop_back();
  try {
    teacher.require_likeness(kept);
  } catch (const TeacherError& error) {
    fail<ConfigError>(core::shown(path),
                      ": another teacher than when the run began; start that one again, or add "
                      "--restart to begin again (",
                      error.what(), ")");
  } catch (const FormatError& error) {
    fail<FormatError>(core::shown(path), ": damaged; remove it to take the teacher as it is (",
                      error.what(), ")");
  }
}

}  // namespace

void keep_or_check_teacher(const std::filesystem::path& path, bool begun,
                           teachers::Teacher& teacher, core::Logger& log) {
  const auto likeness = teacher.likeness();
  if (!likeness) return;
  if (begun && core::path_exists(path)) return check(path, teacher);
  if (begun) {
    log.warning(core::shown(path),
                ": not there, so it is not known whether the run began with this teacher; its "
                "likeness is kept from now on");
  }
  core::write_file_atomically(path, *likeness + "\n");
}

}  // namespace distill::pipeline

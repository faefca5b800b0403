#pragma once

#include <filesystem>

#include <distill/core/log.h>
#include <distill/teachers/teacher.h>

namespace distill::pipeline {

/// Keeps the likeness of a teacher that has one in `path` when a run begins. When a run goes on
/// (`begun`), throws ConfigError where the teacher is another one than that of the file, and warns
/// and keeps this one where there is no file. Also throws what asking the teacher throws.
void keep_or_check_teacher(const std::filesystem::path& path, bool begun,
                           teachers::Teacher& teacher, core::Logger& log);

}  // namespace distill::pipeline

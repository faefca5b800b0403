#pragma once

#include <memory>

#include <distill/recipe/registries.h>
#include <distill/teachers/teacher.h>

namespace distill::recipe {

/// Waits for the teacher's process and takes its head. Throws ConfigError for one whose tokenizer
/// or length does not suit the student, and as teachers::ProcessTeacher and dist::connect_shared.
std::unique_ptr<teachers::Teacher> make_process(const ProcessTeacherOptions& options,
                                                const TeacherContext& context);

}  // namespace distill::recipe

#pragma once

#include <string>
#include <vector>

#include <distill/core/error.h>
#include <distill/core/strings.h>
#include <distill/teachers/several_teachers.h>

namespace distill::teachers {

/// `a, b, c`.
inline std::string names_of(const std::vector<TeacherOfSeveral>& teachers) {
  std::vector<std::string> names;
  for (const auto& own : teachers) names.push_back(own.name);
  return core::join(names);
}

inline void require_some(const std::vector<TeacherOfSeveral>& teachers) {
  if (teachers.empty()) fail<ConfigError>("several teachers were announced, and there is none");
}

}  // namespace distill::teachers

#pragma once

#include <optional>
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

/// What those that are asked over a network have done, together; nothing where there are none.
inline std::optional<TeacherCounts> counts_of(const std::vector<TeacherOfSeveral>& teachers) {
  std::optional<TeacherCounts> all;
  for (const auto& own : teachers) {
    const auto counts = own.teacher->counts();
    if (!counts) continue;
    if (!all) all.emplace();
    all->requests += counts->requests;
    all->retries += counts->retries;
    all->bad_answers += counts->bad_answers;
    all->seconds_waited += counts->seconds_waited;
  }
  return all;
}

/// What there is to say of each, by its name.
inline std::vector<std::string> summaries_of(const std::vector<TeacherOfSeveral>& teachers) {
  std::vector<std::string> lines;
  for (const auto& own : teachers) {
    for (const auto& line : own.teacher->summary()) lines.push_back("`" + own.name + "`: " + line);
  }
  return lines;
}

inline void require_some(const std::vector<TeacherOfSeveral>& teachers) {
  if (teachers.empty()) fail<ConfigError>("several teachers were announced, and there is none");
}

}  // namespace distill::teachers

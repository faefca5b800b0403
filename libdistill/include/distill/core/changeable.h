#pragma once

#include <string>
#include <string_view>

#include <distill/core/describe.h>

namespace distill::core {

/// What the meaning of a changeable field ends with; readers of the reference page see it too.
constexpr std::string_view kMayChange = " (may change when a run goes on)";

/// The meaning of a field that says nothing about the result of a run, such as how often something
/// is tried: it may be another one when the run goes on.
///
///     visit("retries", options.retries, core::changeable("of one request"));
inline std::string changeable(std::string doc) {
  return doc.append(kMayChange);
}

inline bool is_changeable(const Field& field) {
  return field.doc.ends_with(kMayChange);
}

}  // namespace distill::core

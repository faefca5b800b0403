#pragma once

#include <iosfwd>
#include <string>

namespace distill::core {

/// Flushes a stream that a result was written to. Throws IoError when any of it was lost (a disk
/// that is full, a pipe that was closed).
void finish_output(std::ostream& out, const std::string& name);

}  // namespace distill::core

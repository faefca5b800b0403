#pragma once

#include <exception>
#include <string>

namespace distill::pipeline {

/// What an exception says to people: in words where memory is out, and without LibTorch's
/// back-trace unless that is wanted.
std::string error_message(const std::exception& error, bool back_trace = false);

}  // namespace distill::pipeline

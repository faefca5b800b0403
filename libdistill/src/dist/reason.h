#pragma once

#include <exception>
#include <string>

namespace distill::dist::detail {

/// What c10d, gloo or the system says, fit for a message of one line.
std::string reason_of(const std::exception& error);

}  // namespace distill::dist::detail

#pragma once

#include <string>

#include <c10/util/Exception.h>
#include <gtest/gtest.h>

namespace distill::testing {

/// What a c10::Error says, without its back-trace; a failure when nothing is thrown.
template <class Body>
std::string torch_error_of(Body body) {
  try {
    body();
  } catch (const c10::Error& error) {
    return error.what_without_backtrace();
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

}  // namespace distill::testing

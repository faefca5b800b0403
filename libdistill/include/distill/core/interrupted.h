#pragma once

#include <distill/core/error.h>

namespace distill {

/// Work was asked to stop before its end; the message says what is saved and how to go on.
class Interrupted : public Error {
 public:
  using Error::Error;
};

}  // namespace distill

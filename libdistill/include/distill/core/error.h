#pragma once

#include <stdexcept>
#include <string>

#include <distill/core/strings.h>

namespace distill {

/// Base of everything libdistill throws. The message is one line that names the thing in
/// backticks or by its file, says what was expected and what was seen, and what to do.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
  /// The status a command-line program should end with: 1 failed while running, 2 bad input.
  virtual int exit_code() const noexcept { return 1; }
};

/// What the user gave is wrong: a missing file, an argument, a value.
class InputError : public Error {
 public:
  using Error::Error;
  int exit_code() const noexcept override { return 2; }
};

/// A recipe or an options struct is wrong. May hold several lines, one for each problem.
class ConfigError : public InputError {
 public:
  using InputError::InputError;
};

/// A file does not hold what its format promises.
class FormatError : public InputError {
 public:
  using InputError::InputError;
};

/// The input is well-formed but asks for something this library (or this build) does not do.
class UnsupportedError : public InputError {
 public:
  using InputError::InputError;
};

/// The operating system refused: disk full, no permission, a read that failed.
class IoError : public Error {
 public:
  using Error::Error;
};

/// Ranks disagree or one was lost.
class DistributedError : public Error {
 public:
  using Error::Error;
};

/// A teacher gave no usable signal.
class TeacherError : public Error {
 public:
  using Error::Error;
};

/// Throws `E` with the parts written one after the other.
/// Example: `fail<FormatError>(path, ": header is ", n, " bytes, the file holds ", size);`
template <class E, class... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  throw E(core::concat(parts...));
}

}  // namespace distill

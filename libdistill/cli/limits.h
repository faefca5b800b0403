#pragma once

#include <string>

#include <CLI/CLI.hpp>

#include <distill/core/strings.h>

namespace distill::cli {

/// CLI11's own say which numbers they allow with the 309 digits of the largest.
inline CLI::Validator number_that(bool (*holds)(double), const char* what) {
  const auto check = [holds, what](const std::string& text) {
    double value = 0;
    const bool good = CLI::detail::lexical_cast(text, value) && holds(value);
    return good ? std::string()
                : core::concat("expected ", what, ", it is `", core::printable(text, 40), "`");
  };
  return CLI::Validator(check, "");
}

inline CLI::Validator positive() {
  return number_that([](double value) { return value > 0; }, "a number above 0");
}
inline CLI::Validator not_negative() {
  return number_that([](double value) { return value >= 0; }, "a number of 0 or more");
}

}  // namespace distill::cli

#include "pipeline/error_message.h"

#include <new>

#include <c10/util/Exception.h>

namespace distill::pipeline {

std::string error_message(const std::exception& error, bool back_trace) {
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) {
    return "out of memory; use fewer rows at a time, shorter ones, or a smaller model";
  }
  if (const auto* torch = dynamic_cast<const c10::Error*>(&error);
      torch != nullptr && !back_trace) {
    const std::string message = torch->what_without_backtrace();
    return message.substr(0, message.find('\n'));
  }
  return error.what();
}

}  // namespace distill::pipeline

#include <distill/core/output.h>

#include <ostream>

#include <distill/core/error.h>

namespace distill::core {

void finish_output(std::ostream& out, const std::string& name) {
  out.flush();
  if (!out) fail<IoError>(name, ": could not write all of the result to it");
}

}  // namespace distill::core

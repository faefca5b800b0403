#include "pipeline/code_version.h"

namespace distill::pipeline {

std::string code_version() {
  return DISTILL_CODE_VERSION;
}

}  // namespace distill::pipeline

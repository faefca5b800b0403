#pragma once

#include <vector>

#include <distill/types/model_input.h>

namespace distill::types {

/// One input behind the other, each with the segments it has.
ModelInput joined(const std::vector<ModelInput>& inputs);

}  // namespace distill::types

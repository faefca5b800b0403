#pragma once

#include <distill/losses/loss.h>

namespace distill::losses {

/// Every loss the library brings.
void add_builtin_losses(LossRegistry& registry);

}  // namespace distill::losses

#pragma once

#include <string>

namespace distill::pipeline {

/// Of the library, as runs write it down: `0.1.0+a1b2c3d4e5f6` with the commit it was configured
/// at, on which local changes may lie; `0.1.0` where it was not built in a checkout.
std::string code_version();

}  // namespace distill::pipeline

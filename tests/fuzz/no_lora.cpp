#include "fuzz/fuzz.h"

namespace distill::fuzz {

/// The build is without the layers that it tries.
void adapter(std::string_view) {}

}  // namespace distill::fuzz

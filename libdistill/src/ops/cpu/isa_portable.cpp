#include "ops/cpu/isa.h"

// For machines that are not x86: the portable kernels alone.
namespace distill::ops::cpu {

namespace portable {
extern const KernelTable kTable;
}

Isa best_isa() {
  return Isa::kPortable;
}
std::vector<Isa> supported_isas() {
  return {Isa::kPortable};
}
const KernelTable& kernels_for(Isa) {
  return portable::kTable;
}
const KernelTable& kernels() {
  return portable::kTable;
}

}  // namespace distill::ops::cpu

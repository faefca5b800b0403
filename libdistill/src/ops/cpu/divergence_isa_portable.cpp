#include "ops/cpu/divergence_table.h"
#include "ops/cpu/isa.h"

// For machines that are not x86: the portable kernels alone.
namespace distill::ops::cpu {

namespace portable {
extern const DivergenceTable kDivergenceTable;
}

const DivergenceTable& divergence_kernels_for(Isa) {
  return portable::kDivergenceTable;
}
const DivergenceTable& divergence_kernels() {
  return portable::kDivergenceTable;
}

}  // namespace distill::ops::cpu

#include "ops/cpu/divergence_table.h"
#include "ops/cpu/isa.h"

namespace distill::ops::cpu {

namespace portable {
extern const DivergenceTable kDivergenceTable;
}
namespace avx2 {
extern const DivergenceTable kDivergenceTable;
}
namespace avx512 {
extern const DivergenceTable kDivergenceTable;
}

const DivergenceTable& divergence_kernels_for(Isa isa) {
  if (isa > best_isa()) return portable::kDivergenceTable;
  switch (isa) {
    case Isa::kAvx512:
      return avx512::kDivergenceTable;
    case Isa::kAvx2:
      return avx2::kDivergenceTable;
    case Isa::kPortable:
      break;
  }
  return portable::kDivergenceTable;
}

const DivergenceTable& divergence_kernels() {
  static const DivergenceTable& best = divergence_kernels_for(best_isa());
  return best;
}

}  // namespace distill::ops::cpu

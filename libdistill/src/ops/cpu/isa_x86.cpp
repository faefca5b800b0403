#include "ops/cpu/isa.h"

namespace distill::ops::cpu {

namespace portable {
extern const KernelTable kTable;
}
namespace avx2 {
extern const KernelTable kTable;
}
namespace avx512 {
extern const KernelTable kTable;
}

Isa best_isa() {
  static const Isa best = [] {
    // These also ask the operating system whether it saves the wide registers.
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
      return Isa::kAvx512;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return Isa::kAvx2;
    return Isa::kPortable;
  }();
  return best;
}

std::vector<Isa> supported_isas() {
  std::vector<Isa> isas{Isa::kPortable};
  if (best_isa() >= Isa::kAvx2) isas.push_back(Isa::kAvx2);
  if (best_isa() >= Isa::kAvx512) isas.push_back(Isa::kAvx512);
  return isas;
}

const KernelTable& kernels_for(Isa isa) {
  if (isa > best_isa()) return portable::kTable;
  switch (isa) {
    case Isa::kAvx512:
      return avx512::kTable;
    case Isa::kAvx2:
      return avx2::kTable;
    case Isa::kPortable:
      break;
  }
  return portable::kTable;
}

const KernelTable& kernels() {
  static const KernelTable& best = kernels_for(best_isa());
  return best;
}

}  // namespace distill::ops::cpu

#include <distill/core/strict_sums.h>

#include <cstdlib>

namespace distill::core {
namespace {

/// The widest of MKL's code paths that this CPU has in a strict form; null where it has none.
const char* strict_path() {
#if defined(__x86_64__)
  if (!__builtin_cpu_is("intel")) return nullptr;
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512cd") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl")) {
    return "AVX512,STRICT";
  }
  if (__builtin_cpu_supports("avx2")) return "AVX2,STRICT";
#endif
  return nullptr;
}

}  // namespace

bool request_strict_sums() {
  const char* path = strict_path();
  if (path == nullptr) return false;
  constexpr int kKeepWhatIsSet = 0;
  return ::setenv("MKL_CBWR", path, kKeepWhatIsSet) == 0;
}

}  // namespace distill::core

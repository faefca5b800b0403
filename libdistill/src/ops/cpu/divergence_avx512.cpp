#include "ops/cpu/vec_avx512.h"

#define DISTILL_ISA avx512
#include "ops/cpu/divergence_kernels.inl"

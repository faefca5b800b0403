#include "ops/cpu/vec_avx2.h"

#define DISTILL_ISA avx2
#include "ops/cpu/divergence_kernels.inl"

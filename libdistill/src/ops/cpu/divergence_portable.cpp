#include "ops/cpu/vec_portable.h"

#define DISTILL_ISA portable
#include "ops/cpu/divergence_kernels.inl"

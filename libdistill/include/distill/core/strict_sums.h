#pragma once

namespace distill::core {

/// Asks MKL, which forms LibTorch's fp32 and fp64 products on CPUs, for sums that depend neither on
/// the number of threads nor on where in memory the operands lie: on Intel's CPUs they do otherwise
/// (MKL's guide, "Conditional Numerical Reproducibility"; costs nothing that could be measured). By
/// the variable MKL_CBWR of this process, so for the beginning of a program, before the first
/// product and other threads; what is set there already stays. True where MKL is asked.
bool request_strict_sums();

}  // namespace distill::core

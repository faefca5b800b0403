#pragma once

#include <memory>
#include <vector>

#include <distill/models/causal_lm.h>
#include <distill/train/optimizer.h>
#include <distill/train/options.h>

namespace distill::train {

/// AdamW (Loshchilov and Hutter 2019) over contiguous fp32 or bf16 parameters; a bf16 one gets an
/// fp32 master copy. State: `master.NAME`, `exp_avg.NAME`, `exp_avg_sq.NAME`, all fp32.
/// Throws ConfigError for options out of range or a parameter listed twice, UnsupportedError for
/// another dtype or layout.
std::unique_ptr<Optimizer> make_adamw(const AdamWOptions& options,
                                      const std::vector<models::NamedParameter>& parameters);

/// Muon (Jordan et al. 2024) for the matrices inside the layers, its updates scaled to AdamW's (Liu
/// et al. 2025, section 2.2); AdamW for embedding, head and what is no matrix. Parameters and what
/// is thrown as for AdamW. State of a matrix: `master.NAME`, `momentum.NAME`, fp32.
std::unique_ptr<Optimizer> make_muon(const MuonOptions& options,
                                     const std::vector<models::NamedParameter>& parameters);

/// `adamw`, `muon`.
void add_builtin_optimizers(OptimizerRegistry& registry);

}  // namespace distill::train

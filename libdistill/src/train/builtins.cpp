#include <distill/train/builtins.h>

namespace distill::train {

void add_builtin_optimizers(OptimizerRegistry& registry) {
  registry.add<AdamWOptions>("adamw", make_adamw);
  registry.add<MuonOptions>("muon", make_muon);
}

}  // namespace distill::train

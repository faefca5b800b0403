#include <distill/losses/builtins.h>

#include <distill/losses/cross_entropy.h>
#include <distill/losses/forward_kl.h>

namespace distill::losses {

void add_builtin_losses(LossRegistry& registry) {
  registry.add<CrossEntropyOptions>("cross_entropy", [](const CrossEntropyOptions& options) {
    return std::make_unique<CrossEntropy>(options);
  });
  registry.add<ForwardKlOptions>("forward_kl", [](const ForwardKlOptions& options) {
    return std::make_unique<ForwardKl>(options);
  });
}

}  // namespace distill::losses

#include <distill/losses/builtins.h>

#include <distill/losses/adaptive_kl.h>
#include <distill/losses/alm.h>
#include <distill/losses/attention_kl.h>
#include <distill/losses/cross_entropy.h>
#include <distill/losses/forward_kl.h>
#include <distill/losses/hidden_cosine.h>
#include <distill/losses/hidden_mse.h>
#include <distill/losses/jsd.h>
#include <distill/losses/reverse_kl.h>
#include <distill/losses/skew_forward_kl.h>
#include <distill/losses/skew_reverse_kl.h>
#include <distill/losses/symmetric_kl.h>
#include <distill/losses/tvd.h>
#include <distill/losses/uld.h>

namespace distill::losses {

namespace {

template <class Options, class Kind = LogitLoss<Options>>
void add(LossRegistry& registry) {
  registry.add<Options>(std::string(Options::kKind),
                        [](const Options& options) { return std::make_unique<Kind>(options); });
}

}  // namespace

void add_builtin_losses(LossRegistry& registry) {
  add<AdaptiveKlOptions>(registry);
  add<AlmOptions, Alm>(registry);
  add<AttentionKlOptions, AttentionKl>(registry);
  add<CrossEntropyOptions>(registry);
  add<ForwardKlOptions>(registry);
  add<HiddenCosineOptions, HiddenCosine>(registry);
  add<HiddenMseOptions, HiddenMse>(registry);
  add<JsdOptions>(registry);
  add<ReverseKlOptions>(registry);
  add<SkewForwardKlOptions>(registry);
  add<SkewReverseKlOptions>(registry);
  add<SymmetricKlOptions>(registry);
  add<TvdOptions>(registry);
  add<UldOptions, Uld>(registry);
}

}  // namespace distill::losses

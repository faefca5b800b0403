#include <distill/train/forgetting.h>

#include <cmath>

#include <distill/core/strings.h>

namespace distill::train {

using core::concat;

void describe(core::FieldVisitor& visit, ForgettingReaction& options) {
  visit("replay", options.replay,
        "files of general text or conversations that are mixed into `data.train` from the first "
        "reaction on; the list of both has the rules of `data.train`");
  visit("kl_weight_factor", options.kl_weight_factor,
        "weights of all terms that compare with the teacher are multiplied by it at each reaction");
  visit("max_reactions", options.max_reactions, "how often a run reacts");
}

void validate(const ForgettingReaction& options, core::Problems& problems) {
  const double factor = options.kl_weight_factor;
  if (!(factor > 0 && factor <= 1000)) {
    problems.add("kl_weight_factor", concat("must be above 0 and at most 1000, it is ", factor));
  }
  if (options.replay.empty() && factor == 1.0) {
    problems.add("",
                 "needs `replay` or a `kl_weight_factor` other than 1: the same steps again "
                 "would end in the same place");
  }
  if (options.max_reactions < 1 || options.max_reactions > 100) {
    problems.add("max_reactions", concat("must be from 1 to 100, it is ", options.max_reactions));
  }
}

void describe(core::FieldVisitor& visit, ForgettingOptions& options) {
  visit.required("every", options.every, "steps between looks; the last step is looked at too");
  visit("sets", options.sets,
        "names of `evaluate.sets` to look at, of perplexity or multiple choice; all such when "
        "empty");
  visit("max_drop", options.max_drop,
        "how much worse a set may be than before training, relative to it: of accuracy what is "
        "lost, of perplexity what is added; 0.05 is 5 percent");
  visit("react", options.react,
        "go back to the last student that was within the limit, change what is trained on, and "
        "train to the planned steps; when not given a run only looks");
  visit("on_failure", options.on_failure,
        "what is done when no reaction is left: warn and go on, or stop and fail");
}

void validate(const ForgettingOptions& options, core::Problems& problems) {
  if (options.every < 1) {
    problems.add("every", concat("must be at least 1, it is ", options.every));
  }
  if (!(options.max_drop >= 0 && std::isfinite(options.max_drop))) {
    problems.add("max_drop", concat("must not be negative, it is ", options.max_drop));
  }
}

}  // namespace distill::train

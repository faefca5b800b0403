#include <distill/lora/options.h>

#include <distill/core/strings.h>

namespace distill::lora {

using core::concat;

namespace {

void check_rank(std::int64_t rank, core::Problems& problems) {
  if (rank < 1) problems.add("rank", concat("must be at least 1, it is ", rank));
}

void check_alpha(const std::optional<double>& alpha, core::Problems& problems) {
  if (!alpha || (*alpha > 0 && *alpha <= kMostAlpha)) return;
  problems.add("alpha", concat("must be above 0 and at most ", kMostAlpha, ", it is ", *alpha));
}

}  // namespace

void describe(core::FieldVisitor& visit, RankPattern& pattern) {
  visit.required("modules", pattern.modules,
                 "regular expression for the name of a module or its end after a dot, such as "
                 "`down_proj` or `layers.[0-3].self_attn.q_proj`");
  visit.required("rank", pattern.rank, "rank of these modules");
  visit("alpha", pattern.alpha,
        "alpha of these modules; that of `lora.alpha`, or twice their rank, when not given");
}

void validate(const RankPattern& pattern, core::Problems& problems) {
  if (pattern.modules.empty()) problems.add("modules", "must not be empty");
  check_rank(pattern.rank, problems);
  check_alpha(pattern.alpha, problems);
}

void describe(core::FieldVisitor& visit, LoraOptions& options) {
  visit("rank", options.rank, "inner width of every adapter");
  visit("alpha", options.alpha,
        "the change is scaled by alpha / rank; twice the rank when not given");
  visit("dropout", options.dropout, "share of its input that an adapter does not see in training");
  visit("targets", options.targets,
        "`all-linear`, a list of modules or ends of their names (`[q_proj, v_proj]`), or a regular "
        "expression for whole names");
  visit("rslora", options.rslora, "scale by alpha / sqrt(rank) instead");
  visit("dora", options.dora, "learn the length of every row apart from its direction (DoRA)");
  visit("init", options.init,
        "where adapters begin: kaiming and gaussian change nothing at first, pissa takes the "
        "largest singular directions out of the weights");
  visit("rank_pattern", options.rank_pattern,
        "other ranks for some modules; the first that matches counts");
  visit("experts", options.experts, "`all-linear` and lists mean routed experts too");
}

void validate(const LoraOptions& options, core::Problems& problems) {
  check_rank(options.rank, problems);
  check_alpha(options.alpha, problems);
  if (!(options.dropout >= 0 && options.dropout < 1)) {
    problems.add("dropout", concat("must be at least 0 and below 1, it is ", options.dropout));
  }
  if (const auto* one = std::get_if<std::string>(&options.targets)) {
    if (one->empty()) problems.add("targets", "must not be empty");
    return;
  }
  const auto& list = std::get<std::vector<std::string>>(options.targets);
  if (list.empty()) problems.add("targets", "must name at least one module, or be `all-linear`");
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (list[i].empty()) problems.add(concat("targets.", i), "must not be empty");
  }
}

}  // namespace distill::lora

#include <distill/lora/choose.h>

#include <algorithm>
#include <functional>
#include <set>
#include <string>

#include <distill/core/error.h>
#include <distill/core/strings.h>
#include <distill/core/text_pattern.h>

namespace distill::lora {

namespace {

using models::AdapterSite;

constexpr std::string_view kAllLinear = "all-linear";

/// `q_proj` of `model.layers.0.self_attn.q_proj`.
std::string last_part(const std::string& module) {
  return module.substr(module.rfind('.') + 1);
}

std::string what_there_is(std::span<const AdapterSite> sites) {
  std::set<std::string> names;
  for (const AdapterSite& site : sites) names.insert(last_part(site.module));
  return core::join(std::vector<std::string>(names.begin(), names.end()));
}

bool ends_with_name(const std::string& module, const std::string& target) {
  return module == target || module.ends_with("." + target);
}

/// The head is no site: losses are fused with its product.
void refuse_head(const std::string& target, const std::string& where) {
  if (target.find("lm_head") == std::string::npos) return;
  fail<ConfigError>(where, ": `", core::printable(target),
                    "` names the head, which gets no adapter: the loss is fused with its product "
                    "and takes it as one frozen matrix, tied to the embedding or not; leave it out "
                    "(the last layers' projections change what it reads)");
}

/// Which sites are meant; every target must mean one.
std::vector<bool> targeted(const LoraOptions& options, std::span<const AdapterSite> sites) {
  std::vector<bool> chosen(sites.size(), false);
  const auto mark = [&](const std::string& target, const std::string& where,
                        const std::function<bool(const AdapterSite&)>& is_meant) {
    refuse_head(target, where);
    bool any = false;
    for (std::size_t i = 0; i < sites.size(); ++i) {
      if (!is_meant(sites[i])) continue;
      chosen[i] = any = true;
    }
    if (any) return;
    std::vector<std::string> names;
    for (const AdapterSite& site : sites) names.push_back(last_part(site.module));
    fail<ConfigError>(where, ": `", core::printable(target), "` means no layer",
                      core::did_you_mean(target, names), "; there are ", what_there_is(sites));
  };
  const auto takes = [&](const AdapterSite& site) {
    return options.experts || !site.routed_expert;
  };
  if (const auto* one = std::get_if<std::string>(&options.targets)) {
    if (*one == kAllLinear) {
      mark(*one, "targets", [&](const AdapterSite& s) { return !s.embedding && takes(s); });
      return chosen;
    }
    const core::TextPattern pattern(*one, core::TextPattern::Part::kWhole, "targets");
    mark(*one, "targets", [&](const AdapterSite& s) { return pattern.matches(s.module); });
    return chosen;
  }
  const auto& list = std::get<std::vector<std::string>>(options.targets);
  for (std::size_t i = 0; i < list.size(); ++i) {
    mark(list[i], core::concat("targets.", i),
         [&](const AdapterSite& s) { return ends_with_name(s.module, list[i]) && takes(s); });
  }
  return chosen;
}

void check_site(const AdapterSite& site, const nn::AdapterOptions& adapter) {
  if (adapter.rank > std::min(site.in, site.out)) {
    fail<ConfigError>("rank: ", adapter.rank, " is above the smaller side of `", site.module, "` [",
                      site.out, ", ", site.in,
                      "]; use a smaller rank (`rank_pattern` for this one), or other targets");
  }
}

}  // namespace

models::AdapterChoice choose(const LoraOptions& options, std::span<const AdapterSite> sites) {
  const std::vector<bool> chosen = targeted(options, sites);
  std::vector<core::TextPattern> patterns;
  for (std::size_t p = 0; p < options.rank_pattern.size(); ++p) {
    patterns.emplace_back(options.rank_pattern[p].modules, core::TextPattern::Part::kEnd,
                          core::concat("rank_pattern.", p));
  }
  std::vector<bool> used(patterns.size(), false);
  models::AdapterChoice choice;
  for (std::size_t i = 0; i < sites.size(); ++i) {
    if (!chosen[i]) continue;
    nn::AdapterOptions adapter{options.rank, 0, options.rslora, options.dora, options.dropout};
    if (sites[i].embedding) adapter.dropout = 0;  // its input are ids; PEFT drops none either
    std::optional<double> alpha = options.alpha;
    const auto found =
        std::find_if(patterns.begin(), patterns.end(),
                     [&](const core::TextPattern& p) { return p.matches(sites[i].module); });
    if (found != patterns.end()) {
      const auto place = static_cast<std::size_t>(found - patterns.begin());
      used[place] = true;
      adapter.rank = options.rank_pattern[place].rank;
      if (options.rank_pattern[place].alpha) alpha = options.rank_pattern[place].alpha;
    }
    adapter.alpha = alpha.value_or(2.0 * static_cast<double>(adapter.rank));
    check_site(sites[i], adapter);
    choice.emplace(sites[i].module, adapter);
  }
  for (std::size_t p = 0; p < used.size(); ++p) {
    if (used[p]) continue;
    fail<ConfigError>("rank_pattern.", p, ": `", core::printable(options.rank_pattern[p].modules),
                      "` matches none of the targets, or an earlier pattern takes them");
  }
  const bool drops =
      std::ranges::any_of(choice, [](const auto& c) { return c.second.dropout > 0; });
  if (options.dropout > 0 && !drops) {
    fail<ConfigError>(
        "dropout: falls on none of the targets: the embedding's input are ids, of "
        "which none is dropped; leave it out");
  }
  return choice;
}

std::int64_t count_parameters(const models::AdapterChoice& choice,
                              std::span<const AdapterSite> sites) {
  std::int64_t sum = 0;
  for (const AdapterSite& site : sites) {
    const auto found = choice.find(site.module);
    if (found == choice.end()) continue;
    sum += found->second.rank * (site.in + site.out) + (found->second.dora ? site.out : 0);
  }
  return sum;
}

}  // namespace distill::lora

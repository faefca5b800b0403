#include "recipe/stage_references.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include <distill/core/strings.h>
#include <distill/recipe/path_names.h>

#include "recipe/struct_writer.h"
#include "recipe/yaml_parse.h"

namespace distill::recipe::detail {

namespace {

using core::concat;

constexpr std::string_view kOpen = "${";
constexpr std::string_view kStages = "stages.";
constexpr std::string_view kOutput = ".output";

std::optional<std::size_t> find_stage(const std::vector<NamedStage>& stages,
                                      std::string_view name) {
  const auto found = std::ranges::find(stages, name, &NamedStage::name);
  if (found == stages.end()) return std::nullopt;
  return static_cast<std::size_t>(found - stages.begin());
}

/// The name in `stages.NAME.output`; nothing where it is something else.
std::optional<std::string> stage_name(std::string_view inside) {
  if (!inside.starts_with(kStages) || !inside.ends_with(kOutput)) return std::nullopt;
  if (inside.size() <= kStages.size() + kOutput.size()) return std::nullopt;
  inside.remove_prefix(kStages.size());
  inside.remove_suffix(kOutput.size());
  return std::string(inside);
}

/// Calls `take` with each text between `${` and `}`, and puts what it returns in its place.
/// False: one is not closed.
template <class Take>
bool for_each_reference(std::string& text, Take&& take) {
  for (std::size_t at = text.find(kOpen); at != std::string::npos;) {
    const std::size_t end = text.find('}', at);
    if (end == std::string::npos) return false;
    const std::string value =
        take(std::string_view(text).substr(at + kOpen.size(), end - at - kOpen.size()));
    text.replace(at, end + 1 - at, value);
    at = text.find(kOpen, at + value.size());
  }
  return true;
}

/// What follows `with.N` in the dotted path of a setting of another try, as in
/// `gates.0.with.1.set.2`; nothing where it is another path.
std::optional<std::string> path_of_try(const std::string& path) {
  constexpr std::string_view kSet = ".set.";
  const std::size_t set = path.find(kSet);
  if (!path.starts_with("gates.") || set == std::string::npos) return std::nullopt;
  return path.substr(0, set);
}

void put_at(Node& node, Place place) {
  node.place = node.key_place = place;
  for (Node& child : node.children) put_at(child, place);
}

/// By which stages `from` needs the result of `to`: the first needs that of the second, and so on,
/// the last that of `to`. Empty where it does not.
std::vector<std::size_t> way_between(const Mentions& mentions, std::size_t from, std::size_t to) {
  std::map<std::size_t, std::size_t> found_by = {{from, from}};
  std::vector<std::size_t> next = {from};
  while (!next.empty()) {
    const std::size_t stage = next.back();
    next.pop_back();
    for (const std::size_t other : mentions[stage]) {
      if (other != to) {
        if (found_by.emplace(other, stage).second) next.push_back(other);
        continue;
      }
      std::vector<std::size_t> way = {stage};
      while (way.back() != from) way.push_back(found_by.at(way.back()));
      std::ranges::reverse(way);
      return way;
    }
  }
  return {};
}

class Resolver {
 public:
  Resolver(std::size_t self, const StageNames& names, ProblemList& problems)
      : self_(self),
        stages_(names.stages),
        mentions_(names.mentions),
        folders_(names.folders),
        problems_(problems) {}

  void visit(Node& node, const std::string& path) {
    if (path == "gates" && stages_[self_].kind == StageKind::kCache) return;  // it has none
    if (node.is_scalar()) {
      const bool of_gates = around_.empty() && path.starts_with("gates.");
      if (!of_gates) resolve(node, path);
      if (of_gates && path_of_try(path)) resolve_setting(node, *path_of_try(path));
    }
    for (std::size_t i = 0; i < node.children.size(); ++i) {
      Node& child = node.children[i];
      const bool map = node.kind == Node::Kind::kMap;
      visit(child, join_path(path, map ? child.key : std::to_string(i)));
    }
  }
  std::vector<Reference> references;

 private:
  /// `teacher.model=${stages.a.output}`: the value belongs into the recipe of another try. What is
  /// wrong with its form is found where it is read.
  void resolve_setting(Node& node, const std::string& around) {
    const std::size_t equals = node.text.find('=');
    if (equals == std::string::npos) return;
    ProblemList unread("", {});
    auto value = parse_yaml(std::string_view(node.text).substr(equals + 1), 0, unread);
    if (!value || !unread.empty()) return;
    put_at(*value, node.place);
    const std::string key = node.text.substr(0, equals);
    const std::size_t before = references.size();
    const std::size_t bad_before = problems_.num_bad_values();
    around_ = around;
    visit(*value, key);
    around_.clear();
    if (problems_.num_bad_values() > bad_before) {
      node.kind = Node::Kind::kInvalid;
    } else if (references.size() > before) {
      node.text = core::concat(key, "=", emit_inline(*value));
    }
  }

  /// A bad reference makes the value one that readers pass over: what stands in its place would get
  /// problems of its own.
  void resolve(Node& node, const std::string& path) {
    bool good = true;
    const bool closed = for_each_reference(node.text, [&](std::string_view inside) {
      const auto result = result_of(std::string(inside), node, path);
      good = good && result;
      return result.value_or("");
    });
    if (!closed) problem(node, path, "`${` without `}`");
    if (!closed || !good) {
      node.kind = Node::Kind::kInvalid;
    } else if (path != "output" && is_within(node.text, folders_)) {
      refer(node, path);
    }
  }

  /// A path into the folders of the stages: to a result, or it must not be.
  void refer(Node& node, const std::string& path) {
    const auto found = std::ranges::find_if(stages_, [&](const NamedStage& stage) {
      return !stage.output.empty() && is_within(node.text, stage.output);
    });
    if (found == stages_.end()) {
      return problem(node, path,
                     concat("`", core::printable(node.text),
                            "` lies in the folders of this pipeline's stages and is no result of "
                            "one; name a result as `${stages.NAME.output}`"));
    }
    const auto stage = static_cast<std::size_t>(found - stages_.begin());
    if (stage == self_) return problem(node, path, "names the result of this very stage");
    if (stage > self_) {
      return problem(node, path,
                     concat("names the result of the later stage `", found->name,
                            "`; move that before this one"));
    }
    // One spelling of one place: everything that compares paths then sees the same.
    const auto inside = whole_path(node.text).lexically_relative(whole_path(found->output));
    node.text = (inside == "." ? found->output : found->output / inside).string();
    references.push_back({stage, path, around_.empty() ? path : around_, node.place});
  }

  /// Nothing, and a problem, where no result can be meant.
  std::optional<std::string> result_of(const std::string& inside, const Node& node,
                                       const std::string& path) {
    const std::string shown = concat("`${", core::printable(inside), "}`");
    const auto name = stage_name(inside);
    if (!name) {
      problem(node, path, shown + " is not known, expected `${stages.NAME.output}`");
      return std::nullopt;
    }
    const auto stage = find_stage(stages_, *name);
    if (!stage) {
      std::vector<std::string> names;
      for (const auto& known : stages_) {
        if (!known.name.empty()) names.push_back(known.name);
      }
      problem(node, path,
              concat(shown, " means no stage", core::did_you_mean(*name, names),
                     names.empty() ? "" : "; there are ", core::join(names)));
      return std::nullopt;
    }
    if (complain(*stage, shown, node, path)) return std::nullopt;
    return stages_[*stage].output.string();
  }

  /// True when the stage cannot be meant.
  bool complain(std::size_t stage, const std::string& shown, const Node& node,
                const std::string& path) {
    const NamedStage& named = stages_[stage];
    if (stage == self_) {
      problem(node, path, shown + " is the result of this very stage");
    } else if (const auto way = way_between(mentions_, stage, self_);
               stage > self_ && !way.empty()) {
      problem(node, path, concat(shown, ": ", ring(way), "; one must do without"));
    } else if (stage > self_) {
      problem(node, path,
              concat(shown,
                     " comes later in the file; a stage reads results of "
                     "earlier ones: move `",
                     named.name, "` before it"));
    } else if (named.output.empty()) {
      problem(
          node, path,
          concat(shown, ": a stage of kind `", name_of(named.kind), "` leaves no result to read"));
    } else {
      return false;
    }
    return true;
  }

  /// Of this stage, which needs the first of `way`.
  std::string ring(const std::vector<std::size_t>& way) const {
    const std::string& own = stages_[self_].name;
    if (way.size() == 1) {
      return concat("`", own, "` and `", stages_[way[0]].name, "` need each other's results");
    }
    std::string text = concat("`", own, "` needs `", stages_[way[0]].name, "`");
    for (std::size_t i = 1; i < way.size(); ++i) {
      text += concat(", which needs `", stages_[way[i]].name, "`");
    }
    return concat(text, ", which needs `", own, "`");
  }

  void problem(const Node& node, const std::string& path, const std::string& what) {
    const std::string setting = around_.empty() ? "" : path + ": ";
    problems_.add(node.place, concat("stages.", self_, ".", around_.empty() ? path : around_),
                  setting + what);
  }

  std::size_t self_;
  const std::vector<NamedStage>& stages_;
  const Mentions& mentions_;
  const std::filesystem::path& folders_;
  ProblemList& problems_;
  std::string around_;  ///< inside of which setting of a gate; empty: of none
};

}  // namespace

std::vector<Reference> resolve_references(Node& node, std::size_t self, const StageNames& names,
                                          ProblemList& problems) {
  Resolver resolver(self, names, problems);
  resolver.visit(node, "");
  return std::move(resolver.references);
}

std::vector<std::size_t> mentioned_stages(const Node& node, const std::vector<NamedStage>& stages) {
  std::set<std::size_t> found;
  if (node.is_scalar()) {
    std::string text = node.text;
    for_each_reference(text, [&](std::string_view inside) {
      if (const auto name = stage_name(inside)) {
        if (const auto stage = find_stage(stages, *name)) found.insert(*stage);
      }
      return std::string();
    });
  }
  for (const Node& child : node.children) {
    for (const std::size_t stage : mentioned_stages(child, stages)) found.insert(stage);
  }
  return {found.begin(), found.end()};
}

}  // namespace distill::recipe::detail

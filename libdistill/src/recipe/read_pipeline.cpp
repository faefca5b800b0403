#include "recipe/read_pipeline.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include <distill/core/error.h>
#include <distill/core/strings.h>
#include <distill/recipe/read.h>

#include "recipe/merge_nodes.h"
#include "recipe/source_places.h"
#include "recipe/stage_nodes.h"
#include "recipe/stage_references.h"
#include "recipe/struct_reader.h"

namespace distill::recipe::detail {

namespace {

using core::concat;

constexpr std::size_t kMostStages = 100;

/// Names go into paths, dotted paths and `${...}`.
bool is_stage_name(const std::string& name) {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  return !name.empty() && name.size() <= 60 && name == core::printable(name, name.size()) &&
         name.find_first_of("./${}=\\\"'") == std::string::npos &&
         !std::ranges::all_of(name, is_digit);
}

struct ChainNames {
  std::string name;
  std::string output;
};

void describe(core::FieldVisitor& visit, ChainNames& names) {
  visit.required("name", names.name, "the name of the pipeline");
  visit("output", names.output, "its folder; `runs/NAME` when empty");
}

void validate(const ChainNames& names, core::Problems& problems) {
  check_name(names.name, problems);
}

Node with_keys(const Node& map, const std::vector<std::string>& keys, bool wanted) {
  Node part = map;
  std::erase_if(part.children, [&](const Node& child) {
    return (std::ranges::find(keys, child.key) != keys.end()) != wanted;
  });
  return part;
}

/// What is known of a stage beside its recipe.
struct Outcome {
  std::vector<Reference> references;
  std::optional<StageResult> result;  ///< nothing: it is not certain
  bool good = false;                  ///< every value could be used
  bool has_slip = false;              ///< a key that nobody knows: another was meant
};

class PipelineReader {
 public:
  PipelineReader(const Node& root, const std::string& source, const Registries& registries,
                 ProblemList& problems)
      : root_(root), source_(source), registries_(registries), problems_(problems) {}

  PipelineRecipe read() {
    const bool is_whole = problems_.empty();
    const std::size_t bad_before = problems_.num_bad_values();
    read_names();
    const Node* stages = root_.find("stages");
    if (stages->kind != Node::Kind::kList || stages->children.empty() ||
        stages->children.size() > kMostStages) {
      problems_.add(stages->place, "stages",
                    concat(describe_node(*stages), " given, expected a list of 1 to ", kMostStages,
                           " stages, each with a `name`"));
      problems_.throw_if_any();
    }
    for (std::size_t i = 0; i < stages->children.size(); ++i) note(stages->children[i], i);
    const bool is_known = problems_.num_bad_values() == bad_before;
    const std::size_t found_before = problems_.num_found();
    for (const Node& own : stages->children) mentions_.push_back(mentioned_stages(own, named_));
    check_defaults();
    const bool has_good_defaults = problems_.num_found() == found_before;
    for (std::size_t i = 0; i < stages->children.size(); ++i) read_stage(stages->children[i], i);
    for (std::size_t i = 0; i < result_.stages.size(); ++i) check_references(i);
    if (!is_whole || !is_known) problems_.throw_if_any();
    for (std::size_t i = 0; i < outcomes_.size(); ++i) {
      result_.stages[i].is_good = has_good_defaults && outcomes_[i].good && !outcomes_[i].has_slip;
    }
    result_.problems = problems_.lines();
    result_.source = source_map(root_, source_, "", problems_);
    return std::move(result_);
  }

 private:
  void read_names() {
    ChainNames names;
    read_struct(with_keys(root_, {"name", "output"}, true), core::struct_ref(names), problems_);
    result_.name = names.name;
    result_.output = names.output.empty() ? "runs/" + names.name : names.output;
    defaults_ = shared(with_keys(root_, {"name", "output", "stages"}, false));
  }

  /// Name and kind of a stage.
  void note(const Node& own, std::size_t index) {
    const std::string path = concat("stages.", index);
    NamedStage stage;
    if (own.kind != Node::Kind::kMap) {
      problems_.add(own.place, path, describe_node(own) + " given, expected a mapping");
    } else if (const Node* name = own.find("name"); name == nullptr || !name->is_scalar()) {
      problems_.add(own.place, path + ".name", "missing; it is the name of the stage");
    } else if (!is_stage_name(name->text)) {
      problems_.add(name->place, path + ".name",
                    concat(describe_node(*name),
                           " given, expected 1 to 60 printable characters, "
                           "not all of them digits and none of . / $ { } = "
                           "\\ and quotes"));
    } else if (std::ranges::find(named_, name->text, &NamedStage::name) != named_.end()) {
      problems_.add(name->place, path + ".name",
                    concat("`", name->text,
                           "` is the name of an earlier stage, and both would "
                           "write to one folder; choose another"));
    } else {
      stage.name = name->text;
    }
    kinds_known_.push_back(read_kind(own, path, stage.kind));
    if (!stage.name.empty()) stage.output = output_path(folder_of(stage.name), stage.kind);
    named_.push_back(std::move(stage));
  }

  bool read_kind(const Node& own, const std::string& path, StageKind& kind) {
    const Node* given = own.find("kind");
    if (given == nullptr) return true;
    std::vector<std::string> names;
    for (const auto name : choice_names(kind)) names.emplace_back(name);
    const auto found = std::ranges::find(names, given->text);
    if (!given->is_scalar() || found == names.end()) {
      problems_.add(given->place, path + ".kind",
                    concat(describe_node(*given), " given, expected one of ", core::join(names),
                           core::did_you_mean(given->text, names)));
      return false;
    }
    kind = static_cast<StageKind>(found - names.begin());
    return true;
  }

  std::filesystem::path folder_of(const std::string& name) const {
    return std::filesystem::path(result_.output) / "stages" / name;
  }

  std::vector<std::string> keys(StageKind kind) const {
    switch (kind) {
      case StageKind::kGenerate: {
        GenerateRecipe recipe(registries_);
        return keys_of(core::struct_ref(recipe));
      }
      case StageKind::kMerge: {
        MergeRecipe recipe;
        return keys_of(core::struct_ref(recipe));
      }
      default: {
        Recipe recipe = default_recipe(registries_);
        return keys_of(core::struct_ref(recipe));
      }
    }
  }

  /// What no stage takes has no effect.
  void check_defaults() {
    std::set<std::string> taken;
    for (const NamedStage& stage : named_) {
      for (const auto& key : keys(stage.kind)) taken.insert(key);
    }
    const std::vector<std::string> known(taken.begin(), taken.end());
    for (const Node& child : defaults_.children) {
      if (taken.contains(child.key)) continue;
      problems_.add_unknown(child.key_place, child.key,
                            concat("unknown key", core::did_you_mean(child.key, known),
                                   ", no stage has it; expected `stages` or a default of one of ",
                                   core::join(known)));
    }
  }

  void read_stage(const Node& own, std::size_t index) {
    const NamedStage& named = named_[index];
    Outcome& outcome = outcomes_.emplace_back();
    if (own.kind != Node::Kind::kMap || !kinds_known_[index]) {
      // Reading fails; a stage stands here so that references still count stages as the file does.
      result_.stages.push_back(Stage{.name = named.name,
                                     .kind = named.kind,
                                     .recipe = default_recipe(registries_),
                                     .folder = {}});
      return;
    }
    const std::size_t bad_before = problems_.num_bad_values();
    const std::size_t found_before = problems_.num_found();
    const std::string path = concat("stages.", index);
    const auto folder = folder_of(named.name);
    Node node = merged(with_keys(defaults_, keys(named.kind), true), own);
    spell_out_gates(node);
    const std::filesystem::path folders = std::filesystem::path(result_.output) / "stages";
    outcome.references = resolve_references(node, index, {named_, mentions_, folders}, problems_);
    complete_stage(node, own, named.kind, folder, path, problems_);
    Stage stage{.name = named.name,
                .kind = named.kind,
                .recipe = read_recipe_of(named.kind, node, path),
                .folder = folder};
    stage.source = source_map(node, source_, path, problems_);
    std::set<std::size_t> needs;
    for (const Reference& reference : outcome.references) needs.insert(reference.stage);
    stage.needs.assign(needs.begin(), needs.end());
    outcome.good = problems_.num_bad_values() == bad_before;
    outcome.has_slip = problems_.num_found() != found_before;
    outcome.result = known_result(stage, node);
    result_.stages.push_back(std::move(stage));
  }

  /// What a stage leaves; nothing where that hangs on a value that could not be read.
  static std::optional<StageResult> known_result(const Stage& stage, const Node& node) {
    if (stage.kind == StageKind::kTrain) {
      const Node* student = node.find("student");
      if (student == nullptr || student->kind != Node::Kind::kMap) return std::nullopt;
      const Node* lora = student->find("lora");
      if (lora != nullptr && lora->kind == Node::Kind::kInvalid) return std::nullopt;
    }
    return stage.result();
  }

  std::variant<Recipe, GenerateRecipe, MergeRecipe> read_recipe_of(StageKind kind, const Node& node,
                                                                   const std::string& path) {
    if (kind == StageKind::kGenerate) {
      GenerateRecipe recipe(registries_);
      read_struct(node, core::struct_ref(recipe), problems_, path);
      return recipe;
    }
    if (kind == StageKind::kMerge) {
      MergeRecipe recipe;
      read_struct(node, core::struct_ref(recipe), problems_, path);
      return recipe;
    }
    Recipe recipe = default_recipe(registries_);
    const std::size_t before = problems_.num_bad_values();
    read_struct(node, core::struct_ref(recipe), problems_, path);
    recipe.source = source_map(node, source_, path, problems_);
    if (problems_.num_bad_values() == before) check_retries(recipe, problems_);
    if (kind == StageKind::kEvaluate) refuse_retries(recipe);
    return recipe;
  }

  void refuse_retries(const Recipe& recipe) {
    for (std::size_t g = 0; g < recipe.gates.size(); ++g) {
      if (recipe.gates[g].on_failure != OnFailure::kRetry) continue;
      problems_.add_line(concat(recipe.source.where(concat("gates.", g, ".on_failure")),
                                ": is `retry`, and a stage that evaluates would measure the same "
                                "again; use stop or warn"));
    }
  }

  /// What kind of result a value can name.
  static std::optional<StageResult> expected_result(const std::string& path) {
    if (path == "teacher.path") return StageResult::kCache;
    if (path == "adapter") return StageResult::kAdapter;
    if (path == "generate.prompts") return StageResult::kRows;
    const bool rows = path.starts_with("data.") || path.starts_with("evaluate.sets.") ||
                      path.starts_with("forgetting.");
    if (rows && path.ends_with(".path")) return StageResult::kRows;
    if (path.ends_with("model") || path.ends_with("tokenizer")) return StageResult::kModel;
    return std::nullopt;
  }

  static const char* words_for(StageResult result) {
    switch (result) {
      case StageResult::kModel:
        return "a model";
      case StageResult::kAdapter:
        return "an adapter";
      case StageResult::kCache:
        return "a teacher's cache";
      case StageResult::kRows:
        return "rows of data";
      case StageResult::kNothing:
        break;
    }
    return "nothing";
  }

  void check_references(std::size_t index) {
    Stage& stage = result_.stages[index];
    Outcome& outcome = outcomes_[index];
    for (const Reference& reference : outcome.references) {
      const auto expected = expected_result(reference.key);
      const auto result = outcomes_[reference.stage].result;
      if (!expected || !result || *expected == *result) continue;
      const bool merge = *expected == StageResult::kModel && *result == StageResult::kAdapter;
      problems_.add(reference.place, concat("stages.", index, ".", reference.path),
                    concat("the stage `", result_.stages[reference.stage].name, "` leaves ",
                           words_for(*result), ", expected ", words_for(*expected),
                           merge ? "; put a stage of kind `merge` between them" : ""));
      outcome.good = false;
    }
    auto* merge = std::get_if<MergeRecipe>(&stage.recipe);
    if (merge != nullptr && outcome.good) outcome.good = find_base(*merge, stage);
  }

  /// False, and a problem, where an adapter has none.
  bool find_base(MergeRecipe& merge, const Stage& stage) {
    if (!merge.model.empty()) return true;
    for (const std::size_t needed : stage.needs) {
      if (!outcomes_[needed].good) return false;  // what it lacks is told already
      const Stage& from = result_.stages[needed];
      if (from.result() == StageResult::kAdapter)
        merge.model = from.run().student.model.value_or("");
    }
    if (!merge.model.empty()) return true;
    problems_.add_line(concat(stage.source.where("adapter"),
                              ": is of no stage before this one; say in `model` what it was "
                              "trained beside"));
    return false;
  }

  const Node& root_;
  const std::string& source_;
  const Registries& registries_;
  ProblemList& problems_;
  PipelineRecipe result_;
  Node defaults_;
  std::vector<NamedStage> named_;
  std::vector<bool> kinds_known_;
  Mentions mentions_;
  std::vector<Outcome> outcomes_;
};

}  // namespace

PipelineRecipe read_pipeline(Node root, const std::string& source, const Registries& registries,
                             ProblemList& problems) {
  return PipelineReader(root, source, registries, problems).read();
}

void check_retries(const Recipe& recipe, ProblemList& problems) {
  for (std::size_t g = 0; g < recipe.gates.size(); ++g) {
    for (std::size_t s = 0; s < recipe.gates[g].with.size(); ++s) {
      try {
        changed_recipe(recipe, recipe.gates[g].with[s].set);
      } catch (const ConfigError& error) {
        const std::string what = error.what();
        const std::string path = concat("gates.", g, ".with.", s);
        problems.add_line(concat(recipe.source.where(path), ": ", what.substr(0, what.find('\n'))));
      }
    }
  }
}

}  // namespace distill::recipe::detail

#include "recipe/stage_nodes.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include <distill/core/strings.h>

#include "recipe/yaml_parse.h"

namespace distill::recipe::detail {

namespace {

using core::concat;

class Keys : public core::FieldVisitor {
 public:
  void field(const core::Field& field, const core::ValueRef&) override {
    names.push_back(field.name);
  }
  std::vector<std::string> names;
};

Node plain(const std::string& text, Place place) {
  Node node;
  node.kind = Node::Kind::kQuoted;
  node.text = text;
  node.place = node.key_place = place;
  return node;
}

void set(Node& map, const std::string& key, Node value) {
  value.key = key;
  if (Node* old = map.find(key)) {
    *old = std::move(value);
  } else {
    map.children.push_back(std::move(value));
  }
}

void erase(Node& map, std::string_view key) {
  std::erase_if(map.children, [&](const Node& child) { return child.key == key; });
}

/// A value that is written here.
Node fixed(const char* yaml, Place place) {
  ProblemList none("", {});
  Node node = *parse_yaml(yaml, 0, none);
  const auto put = [place](auto& self, Node& at) -> void {
    at.place = at.key_place = place;
    for (Node& child : at.children) self(self, child);
  };
  put(put, node);
  return node;
}

struct Completion {
  Node& stage;
  const Node& own;
  const std::string& path;
  ProblemList& problems;

  void refuse_own(std::string_view key, const std::string& why) const {
    const Node* child = own.find(key);
    if (child == nullptr) return;
    problems.add(child->key_place, join_path(path, std::string(key)), why);
  }
  void without_effect(StageKind kind) const {
    for (const char* key : {"loss", "train", "checkpoint", "forgetting"}) {
      refuse_own(key, concat("has no effect in a stage of kind `", name_of(kind), "`"));
    }
    erase(stage, "forgetting");
  }
};

/// A cache belongs to the folder of its stage; a teacher in this process is one to capture.
void complete_cache(const Completion& c, const std::filesystem::path& folder) {
  c.refuse_own("gates", "has no effect in a stage of kind `cache`, which measures nothing");
  c.refuse_own("evaluate", "has no effect in a stage of kind `cache`, which measures nothing");
  erase(c.stage, "gates");
  erase(c.stage, "evaluate");
  // Whose tokenizer: the teacher's own where nothing is said.
  if (c.stage.find("student") == nullptr) {
    set(c.stage, "student", fixed("{init: {from: teacher}}", c.stage.place));
  }
  Node* teacher = c.stage.find("teacher");
  if (teacher == nullptr || teacher->kind != Node::Kind::kMap) return;
  if (const Node* path = teacher->find("path")) {
    c.problems.add(path->key_place, join_path(c.path, "teacher.path"),
                   concat("is set by the pipeline (", folder.string(), "/cache); remove it"));
  }
  const Node* kind = teacher->find("kind");
  if (kind != nullptr && kind->text == "local") set(*teacher, "kind", plain("cache", kind->place));
  const Place place = teacher->place;
  set(*teacher, "path", plain(output_path(folder, StageKind::kCache).string(), place));
}

void measure_once(const Completion& c, Place place) {
  const std::string none = "has no effect in a stage of kind `evaluate`, which measures once";
  if (const Node* own = c.own.find("evaluate")) {
    for (const char* key : {"every", "at_start", "at_end"}) {
      const Node* child = own->find(key);
      if (child == nullptr) continue;
      c.problems.add(child->key_place, join_path(c.path, core::concat("evaluate.", key)), none);
    }
  }
  Node once = fixed("{at_start: false}", place);
  if (const Node* before = c.stage.find("evaluate")) {
    for (const Node& child : before->children) {
      if (child.key != "every" && child.key != "at_start" && child.key != "at_end") {
        once.children.push_back(child);
      }
    }
  }
  set(c.stage, "evaluate", std::move(once));
}

/// What is only of training, under `path` of a stage that measures. Defaults are left out; what the
/// stage itself says (`own`, may be null) would change nothing, and is not kept quiet.
struct OfTraining {
  const Completion& c;
  std::string path;
  Node& map;
  const Node* own;

  void leave_out(std::string_view key, std::string_view instead = "") const {
    const Node* child = own != nullptr ? own->find(key) : nullptr;
    const bool says_something =
        child != nullptr &&
        (child->is_scalar() || child->kind == Node::Kind::kMap || !child->children.empty());
    if (says_something) {
      c.problems.add(child->key_place, join_path(c.path, concat(path, ".", key)),
                     concat("has no effect in a stage of kind `evaluate`, which measures the model "
                            "as it is",
                            instead));
    }
    erase(map, key);
  }
};

void measure_as_it_is(const Completion& c) {
  Node* student = c.stage.find("student");
  if (student == nullptr) return;
  const Node* own = c.own.find("student");
  const OfTraining of_student{c, "student", *student, own};
  of_student.leave_out("lora",
                       "; adapters that nobody has trained change nothing, and a trained one is "
                       "measured behind a stage of kind `merge`");
  of_student.leave_out("quantize", "; `distill eval --quantize` measures a model in few bits");
  of_student.leave_out("freeze");
  Node* init = student->find("init");
  if (init == nullptr || init->kind != Node::Kind::kMap) return;
  OfTraining{c, "student.init", *init, own != nullptr ? own->find("init") : nullptr}.leave_out(
      "fit", "; what a training begins with can be measured by `evaluate.at_start`");
}

void complete_evaluation(const Completion& c) {
  const Place place = c.stage.place;
  if (Node* data = c.stage.find("data"); data != nullptr && data->kind == Node::Kind::kMap) {
    const Node* eval = data->find("eval");
    const bool refused = eval != nullptr && eval->kind == Node::Kind::kInvalid;
    if (eval == nullptr || (eval->children.empty() && !refused)) {
      c.problems.add(data->place, join_path(c.path, "data.eval"),
                     "is empty, and a stage of kind `evaluate` measures on it");
    } else {
      set(*data, "train", *eval);
    }
  }
  measure_once(c, place);
  measure_as_it_is(c);
}

}  // namespace

std::vector<std::string> keys_of(const core::StructRef& fields) {
  Keys keys;
  fields.describe(keys);
  return std::move(keys.names);
}

void complete_stage(Node& stage, const Node& own, StageKind kind,
                    const std::filesystem::path& folder, const std::string& path,
                    ProblemList& problems) {
  const Completion completion{stage, own, path, problems};
  completion.refuse_own("output",
                        concat("is set by the pipeline (", folder.string(), "); remove it"));
  erase(stage, "kind");
  erase(stage, "output");
  if (kind == StageKind::kGenerate || kind == StageKind::kMerge) return;
  set(stage, "output", plain(folder.string(), stage.place));
  if (kind == StageKind::kTrain) return;
  completion.without_effect(kind);
  set(stage, "loss", fixed("[{kind: cross_entropy}]", stage.place));
  set(stage, "train", fixed("{steps: 1}", stage.place));
  if (kind == StageKind::kCache) complete_cache(completion, folder);
  if (kind == StageKind::kEvaluate) complete_evaluation(completion);
}

}  // namespace distill::recipe::detail

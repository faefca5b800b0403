#include "recipe/yaml_parse.h"

#include <algorithm>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <distill/core/strings.h>

namespace distill::recipe::detail {

namespace {

/// Ends parsing at once.
struct Refused {
  Place place;
  std::string message;
};

/// Builds the tree from yaml-cpp's events, which show anchors, aliases and tags before anything is
/// expanded.
class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(std::int64_t override, ProblemList& problems)
      : override_(override), problems_(problems) {}

  Node take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) {
      throw Refused{place(mark), "a second document begins here, expected one; remove the `---`"};
    }
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    add(make(Node::Kind::kNull, mark, "?", anchor));
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    problems_.add(place(mark), "", "an alias (`*name`) is not allowed here; write the value out");
    add(make(Node::Kind::kInvalid, mark, "?", 0));
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    Node node = make(tag == "?" ? Node::Kind::kPlain : Node::Kind::kQuoted, mark, tag, anchor);
    node.text = value;
    // Escapes such as "\0" can make what the file itself may not hold.
    if (node.text.find('\0') != std::string::npos || !core::is_utf8(node.text)) {
      problems_.add(node.place, "", "text with a NUL or bytes that are not UTF-8; remove them");
      node.kind = Node::Kind::kInvalid;
    }
    add(std::move(node));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(make(Node::Kind::kList, mark, tag, anchor));
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(make(Node::Kind::kMap, mark, tag, anchor));
  }
  void OnMapEnd() override { close(); }

 private:
  struct Frame {
    Node node;
    std::set<std::string> keys;
    std::string key;
    Place key_place;
    bool has_key = false;
    bool drop_value = false;  ///< the key was refused
  };

  Place place(const YAML::Mark& mark) const {
    if (override_ > 0) return {0, override_};
    return {std::max(mark.line, 0) + 1, 0};
  }

  Node make(Node::Kind kind, const YAML::Mark& mark, const std::string& tag,
            YAML::anchor_t anchor) {
    Node node;
    node.kind = kind;
    node.place = place(mark);
    if (++nodes_ > kMaxYamlNodes) {
      throw Refused{node.place,
                    core::concat("more than ", kMaxYamlNodes, " values, expected fewer")};
    }
    if (anchor != 0) {
      problems_.add(node.place, "", "an anchor (`&name`) is not allowed here; remove it");
    }
    if (tag != "?" && tag != "!") {
      problems_.add(node.place, "",
                    core::concat("the tag `", core::printable(tag),
                                 "` is not allowed here; write the value alone"));
    }
    return node;
  }

  void open(Node node) {
    if (static_cast<std::int64_t>(stack_.size()) >= kMaxYamlDepth) {
      throw Refused{node.place, core::concat("nested more than ", kMaxYamlDepth, " deep")};
    }
    stack_.emplace_back().node = std::move(node);
  }

  void close() {
    Node node = std::move(stack_.back().node);
    stack_.pop_back();
    add(std::move(node));
  }

  void add(Node node) {
    if (stack_.empty()) {
      root_ = std::move(node);
      return;
    }
    Frame& frame = stack_.back();
    if (frame.node.kind != Node::Kind::kMap) {
      frame.node.children.push_back(std::move(node));
    } else if (!frame.has_key) {
      add_key(frame, std::move(node));
    } else {
      frame.has_key = false;
      if (frame.drop_value) return;
      node.key = std::move(frame.key);
      node.key_place = frame.key_place;
      // yaml-cpp places a missing value at whatever comes next.
      if (node.kind == Node::Kind::kNull) node.place = frame.key_place;
      frame.node.children.push_back(std::move(node));
    }
  }

  void add_key(Frame& frame, Node node) {
    frame.has_key = true;
    frame.drop_value = true;
    if (!node.is_scalar()) {
      if (node.kind == Node::Kind::kInvalid) return;
      problems_.add(node.place, "", describe_node(node) + " as a key, expected a name");
    } else if (!frame.keys.insert(node.text).second) {
      problems_.add(node.place, "",
                    core::concat("the key `", core::printable(node.text),
                                 "` is given twice in this mapping; remove one"));
    } else {
      frame.drop_value = false;
      frame.key = std::move(node.text);
      frame.key_place = node.place;
    }
  }

  std::int64_t override_;
  ProblemList& problems_;
  Node root_;
  std::vector<Frame> stack_;
  std::int64_t nodes_ = 0;
  int documents_ = 0;
};

/// Bytes that no parser should see. Line 0: fine.
std::int64_t first_bad_line(std::string_view text) {
  std::int64_t line = 1;
  for (std::size_t begin = 0; begin <= text.size(); ++line) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view piece = text.substr(begin, end - begin);
    if (piece.find('\0') != std::string_view::npos || !core::is_utf8(piece)) return line;
    begin = end + 1;
  }
  return 0;
}

bool holds_reference(std::string_view text) {
  return text.find("${") != std::string_view::npos;
}

}  // namespace

std::optional<Node> parse_yaml(std::string_view text, std::int64_t override,
                               ProblemList& problems) {
  const auto place = [override](std::int64_t line) {
    return override > 0 ? Place{0, override} : Place{line, 0};
  };
  if (text.size() > kMaxYamlBytes) {
    problems.add(place(0), "",
                 core::concat(text.size(), " bytes, expected at most ", kMaxYamlBytes));
    return std::nullopt;
  }
  if (const auto line = first_bad_line(text); line > 0) {
    problems.add(place(line), "", "not text in UTF-8; save the file as UTF-8");
    return std::nullopt;
  }
  // With an end mark yaml-cpp sees quotes that were never closed; at the bare end it does not.
  std::string marked(text);
  if (!marked.ends_with('\n')) marked += '\n';
  std::istringstream stream(marked + "...\n");
  TreeBuilder builder(override, problems);
  try {
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const Refused& refused) {
    problems.add(refused.place, "", refused.message);
    return std::nullopt;
  } catch (const YAML::Exception& error) {
    const std::int64_t line = std::max(error.mark.line, 0) + 1;
    problems.add(
        place(line), "",
        core::concat("not valid YAML: ", core::printable(error.msg, 120),
                     holds_reference(text) ? "; inside `{...}` a `${...}` stands in quotes" : ""));
    return std::nullopt;
  }
  Node root = builder.take();
  if (root.kind == Node::Kind::kNull) root.place = place(1);  // an empty file begins at its start
  return root;
}

}  // namespace distill::recipe::detail

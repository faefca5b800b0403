#include "recipe/struct_reader.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <distill/core/strings.h>

namespace distill::recipe::detail {

namespace {

using core::concat;

bool all_digits(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

/// `0`, `17`, `-3`: no leading zeros, plus signs, underscores or other bases.
bool is_decimal(std::string_view text) {
  if (text.starts_with('-')) text.remove_prefix(1);
  return all_digits(text) && (text.size() == 1 || text[0] != '0');
}

/// As JSON writes numbers: `1.5`, `2e-5`.
bool is_number(std::string_view text) {
  if (const auto e = text.find_first_of("eE"); e != std::string_view::npos) {
    std::string_view exponent = text.substr(e + 1);
    if (exponent.starts_with('-') || exponent.starts_with('+')) exponent.remove_prefix(1);
    if (!all_digits(exponent)) return false;
    text = text.substr(0, e);
  }
  if (const auto dot = text.find('.'); dot != std::string_view::npos) {
    if (!all_digits(text.substr(dot + 1))) return false;
    text = text.substr(0, dot);
  }
  return is_decimal(text);
}

template <class T>
std::optional<T> from_text(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

class Reader {
 public:
  explicit Reader(ProblemList& problems) : problems_(problems) {}

  void read(const Node& node, const std::string& path, bool* target) {
    if (node.kind == Node::Kind::kPlain && (node.text == "true" || node.text == "false")) {
      *target = node.text == "true";
    } else {
      wrong(node, path, "true or false");
    }
  }

  void read(const Node& node, const std::string& path, std::int64_t* target) {
    if (node.kind != Node::Kind::kPlain || !is_decimal(node.text)) {
      return wrong(node, path, "an integer in plain decimal digits");
    }
    const auto value = from_text<std::int64_t>(node.text);
    if (!value) return wrong(node, path, "an integer that fits 64 bits");
    *target = *value;
  }

  void read(const Node& node, const std::string& path, double* target) {
    if (node.kind != Node::Kind::kPlain || !is_number(node.text)) {
      return wrong(node, path, "a finite number such as 0.5 or 2.0e-5");
    }
    const auto value = from_text<double>(node.text);
    if (!value || !std::isfinite(*value)) {
      return wrong(node, path, "a number that fits double precision");
    }
    *target = *value;
  }

  void read(const Node& node, const std::string& path, std::string* target) {
    if (!node.is_scalar()) return wrong(node, path, "text");
    *target = node.text;
  }

  void read(const Node& node, const std::string& path, const core::ChoiceRef& target) {
    if (!node.is_scalar()) return wrong(node, path, "one of " + core::join(target.names));
    const auto found = std::find(target.names.begin(), target.names.end(), node.text);
    if (found == target.names.end()) {
      return wrong(node, path, concat("one of ", core::join(target.names)),
                   core::did_you_mean(node.text, target.names));
    }
    target.set(static_cast<std::size_t>(found - target.names.begin()));
  }

  void read(const Node& node, const std::string& path, const core::OptionalRef& target) {
    if (node.kind == Node::Kind::kNull) return target.reset();
    read_value(node, path, target.value());
  }

  void read(const Node& node, const std::string& path, const core::ListRef& target) {
    if (node.kind != Node::Kind::kList) return wrong(node, path, "a list `[...]`");
    target.clear();
    for (std::size_t i = 0; i < node.children.size(); ++i) {
      read_value(node.children[i], join_path(path, std::to_string(i)), target.append());
    }
  }

  void read(const Node& node, const std::string& path, const core::OneOfRef& target) {
    const bool scalar = node.is_scalar() || node.kind == Node::Kind::kNull;
    read_value(node, path, target.select(scalar ? 0 : 1));
  }

  void read(const Node& node, const std::string& path, const core::StructRef& target) {
    read_fields(node, path, target, false);
  }

  void read(const Node& node, const std::string& path, const core::ComponentRef& target) {
    const auto kinds = target.kinds();
    if (node.kind != Node::Kind::kMap) {
      return wrong(node, path, concat("a mapping with a `kind`: ", core::join(kinds)));
    }
    const Node* kind = node.find("kind");
    if (kind == nullptr) {
      if (!target.kind().empty()) return read_fields(node, path, target.options(), true);
      return problems_.add(node.place, join_path(path, "kind"),
                           concat("missing, expected one of ", core::join(kinds)));
    }
    const std::string kind_path = join_path(path, "kind");
    if (kind->kind == Node::Kind::kInvalid) return problems_.count_refused();
    if (!kind->is_scalar() || std::find(kinds.begin(), kinds.end(), kind->text) == kinds.end()) {
      return wrong(*kind, kind_path, concat("one of ", core::join(kinds)),
                   kind->is_scalar() ? core::did_you_mean(kind->text, kinds) : "");
    }
    read_fields(node, path, target.select(kind->text), true);
  }

  void read_value(const Node& node, const std::string& path, const core::ValueRef& target) {
    // It stays unset, which must not be reported of the structs around it as well.
    if (node.kind == Node::Kind::kInvalid) return problems_.count_refused();
    std::visit([&](const auto& ref) { read(node, path, ref); }, target);
  }

 private:
  /// Reads each field of a struct that the mapping has, and notes what was asked for.
  class Fields : public core::FieldVisitor {
   public:
    Fields(Reader& reader, const Node& node, const std::string& path)
        : reader_(reader), node_(node), path_(path) {}
    void field(const core::Field& field, const core::ValueRef& value) override {
      known.push_back(field.name);
      const std::string path = join_path(path_, field.name);
      if (const Node* child = node_.find(field.name)) {
        reader_.read_value(*child, path, value);
      } else if (field.required) {
        reader_.problems_.add(node_.place, path, concat("missing; it is ", field.doc));
      }
    }
    std::vector<std::string> known;

   private:
    Reader& reader_;
    const Node& node_;
    const std::string& path_;
  };

  void wrong(const Node& node, const std::string& path, const std::string& expected,
             const std::string& hint = "") {
    problems_.add(node.place, path,
                  concat(describe_node(node), " given, expected ", expected, hint));
  }

  void read_fields(const Node& node, const std::string& path, const core::StructRef& target,
                   bool has_kind) {
    if (node.kind != Node::Kind::kMap) return wrong(node, path, "a mapping of keys and values");
    const std::size_t bad_before = problems_.num_bad_values();
    Fields fields(*this, node, path);
    if (has_kind) fields.known.emplace_back("kind");
    target.describe(fields);
    for (const Node& child : node.children) {
      if (std::find(fields.known.begin(), fields.known.end(), child.key) != fields.known.end())
        continue;
      problems_.add_unknown(child.key_place, join_path(path, child.key),
                            concat("unknown key", core::did_you_mean(child.key, fields.known),
                                   ", expected one of ", core::join(fields.known)));
    }
    if (problems_.num_bad_values() == bad_before) validate(node, path, target);
  }

  void validate(const Node& node, const std::string& path, const core::StructRef& target) {
    core::Problems found;
    target.validate(found);
    for (const auto& problem : found.items()) {
      Place place = place_of(node, problem.field);
      place.shared = node.place.shared;  // else it is about this stage as well
      problems_.add(place, join_path(path, problem.field), problem.message);
    }
  }

  /// Where the value at a dotted path was written, or the nearest thing around it.
  static Place place_of(const Node& node, std::string_view path) {
    const Node* at = &node;
    while (!path.empty()) {
      const std::size_t dot = std::min(path.find('.'), path.size());
      const std::string_view name = path.substr(0, dot);
      path.remove_prefix(std::min(dot + 1, path.size()));
      const Node* child = at->find(name);
      if (at->kind == Node::Kind::kList) {
        const auto index = from_text<std::size_t>(name);
        if (index && *index < at->children.size()) child = &at->children[*index];
      }
      if (child == nullptr) break;
      at = child;
    }
    return at->place;
  }

  ProblemList& problems_;
};

}  // namespace

void read_struct(const Node& node, const core::StructRef& target, ProblemList& problems,
                 const std::string& path) {
  if (node.kind == Node::Kind::kNull) {
    Node empty = node;
    empty.kind = Node::Kind::kMap;
    return read_struct(empty, target, problems, path);
  }
  Reader(problems).read_value(node, path, target);
}

}  // namespace distill::recipe::detail

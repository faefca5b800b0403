#include "recipe/struct_writer.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <string_view>
#include <utility>

#include <distill/core/changeable.h>

namespace distill::recipe::detail {

namespace {

Node scalar(std::string text, Node::Kind kind = Node::Kind::kPlain) {
  Node node;
  node.kind = kind;
  node.text = std::move(text);
  return node;
}

/// The shortest digits that read back to the same number, always with a point or an exponent.
std::string number_text(double value) {
  std::array<char, 64> buffer{};
  const auto [end, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  std::string text(buffer.data(), end);
  if (text.find_first_of(".en") == std::string::npos) text += ".0";
  return text;
}

class Fields : public core::FieldVisitor {
 public:
  explicit Fields(Node& map) : map_(map) {}
  void field(const core::Field& field, const core::ValueRef& value) override {
    if (const auto* optional = std::get_if<core::OptionalRef>(&value)) {
      if (!optional->has_value()) return;
    }
    Node child = to_node(value);
    child.key = field.name;
    child.changeable = core::is_changeable(field);
    map_.children.push_back(std::move(child));
  }

 private:
  Node& map_;
};

struct Writer {
  Node operator()(const bool* value) const { return scalar(*value ? "true" : "false"); }
  Node operator()(const std::int64_t* value) const { return scalar(std::to_string(*value)); }
  Node operator()(const double* value) const { return scalar(number_text(*value)); }
  Node operator()(const std::string* value) const { return scalar(*value, Node::Kind::kQuoted); }
  Node operator()(const core::ChoiceRef& ref) const { return scalar(ref.names.at(ref.get())); }
  Node operator()(const core::StructRef& ref) const {
    Node node;
    node.kind = Node::Kind::kMap;
    Fields fields(node);
    ref.describe(fields);
    return node;
  }
  Node operator()(const core::OptionalRef& ref) const {
    return ref.has_value() ? to_node(ref.value()) : Node{};
  }
  Node operator()(const core::ListRef& ref) const {
    Node node;
    node.kind = Node::Kind::kList;
    for (std::size_t i = 0; i < ref.size(); ++i) node.children.push_back(to_node(ref.at(i)));
    return node;
  }
  Node operator()(const core::OneOfRef& ref) const { return to_node(ref.select(ref.active())); }
  Node operator()(const core::ComponentRef& ref) const {
    Node node;
    node.kind = Node::Kind::kMap;
    if (ref.kind().empty()) return node;
    node.children.push_back(scalar(ref.kind(), Node::Kind::kQuoted));
    node.children.back().key = "kind";
    Fields fields(node);
    ref.options().describe(fields);
    return node;
  }
};

/// True for text that means itself without quotes, everywhere: a path or a name, not a number or a
/// word that YAML gives a meaning to.
bool is_safe_plain(std::string_view text) {
  static constexpr std::array<std::string_view, 9> kWords = {"true", "false", "null", "yes", "no",
                                                             "on",   "off",   "y",    "n"};
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  if (text.empty() || !(letter(text[0]) || text[0] == '_' || text[0] == '/')) return false;
  if (!std::all_of(text.begin(), text.end(), [&](char c) {
        return letter(c) || digit(c) || c == '_' || c == '-' || c == '.' || c == '/';
      })) {
    return false;
  }
  std::string lower(text);
  for (char& c : lower) c = (c >= 'A' && c <= 'Z') ? static_cast<char>(c - 'A' + 'a') : c;
  return std::find(kWords.begin(), kWords.end(), lower) == kWords.end();
}

std::string quote(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += {'\\', c};
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (byte < 0x20 || byte == 0x7f) {
      std::array<char, 8> escaped{};
      std::snprintf(escaped.data(), escaped.size(), "\\x%02x", byte);
      out += escaped.data();
    } else {
      out += c;
    }
  }
  return out + '"';
}

bool fits_one_line(const Node& node) {
  if (node.kind == Node::Kind::kList) {
    return std::all_of(node.children.begin(), node.children.end(),
                       [](const Node& c) { return c.is_scalar() || c.kind == Node::Kind::kNull; });
  }
  return node.kind != Node::Kind::kMap || node.children.empty();
}

/// Writes the children of a list or mapping, one a line, each line beginning at `indent`.
void emit_children(const Node& node, std::size_t indent, bool first_is_placed, std::string& out) {
  for (const Node& child : node.children) {
    if (first_is_placed) {
      first_is_placed = false;
    } else {
      out.append(indent, ' ');
    }
    const bool list = node.kind == Node::Kind::kList;
    out +=
        list ? std::string("-") : (is_safe_plain(child.key) ? child.key : quote(child.key)) + ":";
    if (fits_one_line(child)) {
      out += ' ' + emit_inline(child) + '\n';
    } else if (list) {
      out += ' ';
      emit_children(child, indent + 2, true, out);
    } else {
      out += '\n';
      emit_children(child, indent + 2, false, out);
    }
  }
}

}  // namespace

Node to_node(const core::ValueRef& source) {
  return std::visit(Writer{}, source);
}
Node to_node(const core::StructRef& source) {
  return Writer{}(source);
}

std::string emit_inline(const Node& node) {
  switch (node.kind) {
    case Node::Kind::kPlain:
      return node.text;
    case Node::Kind::kQuoted:
      return is_safe_plain(node.text) ? node.text : quote(node.text);
    case Node::Kind::kList:
    case Node::Kind::kMap: {
      const bool list = node.kind == Node::Kind::kList;
      std::string out = list ? "[" : "{";
      for (const Node& child : node.children) {
        if (&child != node.children.data()) out += ", ";
        if (!list) out += (is_safe_plain(child.key) ? child.key : quote(child.key)) + ": ";
        out += emit_inline(child);
      }
      return out + (list ? "]" : "}");
    }
    default:
      return "null";
  }
}

std::string emit_yaml(const Node& node) {
  std::string out;
  if (fits_one_line(node)) return emit_inline(node) + '\n';
  emit_children(node, 0, false, out);
  return out;
}

}  // namespace distill::recipe::detail

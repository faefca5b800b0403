#include "text/normalizer.h"

#include <algorithm>
#include <utility>

#include <distill/core/strings.h>

#include "text/json_members.h"
#include "text/lowercase.h"
#include "text/normal_form.h"
#include "text/unicode.h"

namespace distill::text::detail {
namespace {

using Kind = Normalizer::Kind;
using Step = Normalizer::Step;

constexpr std::pair<std::string_view, Kind> kPlainKinds[] = {{"NFC", Kind::kNfc},
                                                             {"NFD", Kind::kNfd},
                                                             {"NFKC", Kind::kNfkc},
                                                             {"NFKD", Kind::kNfkd},
                                                             {"Lowercase", Kind::kLowercase}};

Step read_replace(const io::JsonCursor& node) {
  refuse_unknown_members(node, {"type", "pattern", "content"});
  const io::JsonCursor pattern = node.at("pattern");
  refuse_unknown_members(pattern, {"String"});
  Step step{Kind::kReplace, pattern.at("String").as_string(), node.at("content").as_string()};
  if (step.from.empty()) pattern.at("String").fail("is empty");
  return step;
}

void strip(EditedText& edited, bool left, bool right) {
  const std::string_view text = edited.text();
  const std::size_t begin = left ? white_space_end(text, 0) : 0;
  const std::size_t end = right ? white_space_begin(text, begin, text.size()) : text.size();
  if (begin == 0 && end == text.size()) return;
  TextEdit edit = edited.edit();
  if (begin > 0) edit.replace(begin, "");
  edit.keep(end - begin);
  if (end < text.size()) edit.replace(text.size() - end, "");
  edited.apply(std::move(edit));
}

void run(const Step& step, EditedText& text) {
  switch (step.kind) {
    case Kind::kNfc:
      return normalize(NormalForm::kC, text);
    case Kind::kNfd:
      return normalize(NormalForm::kD, text);
    case Kind::kNfkc:
      return normalize(NormalForm::kKC, text);
    case Kind::kNfkd:
      return normalize(NormalForm::kKD, text);
    case Kind::kLowercase:
      return make_lowercase(text);
    case Kind::kStrip:
      return strip(text, step.left, step.right);
    case Kind::kReplace:
      return replace_all(text, step.from, step.to);
    case Kind::kPrepend: {
      if (text.text().empty()) return;
      TextEdit edit = text.edit();
      edit.replace(0, step.to);
      edit.keep(text.text().size());
      text.apply(std::move(edit));
    }
  }
}

}  // namespace

void replace_all(EditedText& edited, std::string_view from, std::string_view to) {
  const std::string_view text = edited.text();
  std::size_t found = text.find(from);
  if (found == std::string_view::npos) return;
  TextEdit edit = edited.edit();
  for (; found != std::string_view::npos; found = text.find(from, edit.at())) {
    edit.keep(found - edit.at());
    edit.replace(from.size(), to);
  }
  edit.keep(text.size() - edit.at());
  edited.apply(std::move(edit));
}

Normalizer::Normalizer(const io::JsonCursor& node) {
  if (!node.value().is_null()) read_step(node);
}

void Normalizer::read_step(const io::JsonCursor& node) {
  const std::string& type = type_of(node);
  for (const auto& [name, kind] : kPlainKinds) {
    if (type != name) continue;
    refuse_unknown_members(node, {"type"});
    Step step;
    step.kind = kind;
    steps_.push_back(std::move(step));
    return;
  }
  if (type == "Strip") {
    refuse_unknown_members(node, {"type", "strip_left", "strip_right"});
    steps_.push_back(
        {Kind::kStrip, "", "", node.at("strip_left").as_bool(), node.at("strip_right").as_bool()});
  } else if (type == "Prepend") {
    refuse_unknown_members(node, {"type", "prepend"});
    steps_.push_back({Kind::kPrepend, "", node.at("prepend").as_string()});
  } else if (type == "Replace") {
    steps_.push_back(read_replace(node));
  } else if (type == "Sequence") {
    refuse_unknown_members(node, {"type", "normalizers"});
    const io::JsonCursor steps = node.at("normalizers");
    for (std::size_t i = 0; i < steps.as_array().size(); ++i) read_step(steps.at(i));
  } else {
    refuse_type(node, "normalizer",
                "null, NFC, NFD, NFKC, NFKD, Lowercase, Strip, Prepend, Replace, Sequence");
  }
}

void Normalizer::apply(EditedText& text) const {
  for (const Step& step : steps_) run(step, text);
}

std::string Normalizer::apply(std::string_view text) const {
  EditedText edited(text, false);
  apply(edited);
  return std::string(edited.text());
}

bool Normalizer::may_remove() const {
  return std::ranges::any_of(steps_, [](const Step& step) {
    return step.kind == Kind::kStrip || (step.kind == Kind::kReplace && step.to.empty());
  });
}

std::string Normalizer::description() const {
  std::string text;
  for (const Step& step : steps_) {
    text += core::concat(static_cast<int>(step.kind), step.left, step.right, ":", step.from.size(),
                         ":", step.from, ":", step.to.size(), ":", step.to, "|");
  }
  return text;
}

}  // namespace distill::text::detail

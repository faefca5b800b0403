#include "text/pre_tokenizer.h"

#include <algorithm>
#include <utility>

#include <distill/core/error.h>
#include <distill/core/strings.h>

#include "text/json_members.h"
#include "text/normalizer.h"
#include "text/split_text.h"
#include "text/unicode.h"

namespace distill::text::detail {
namespace {

constexpr std::string_view kPart = "pre_tokenizer";
constexpr std::string_view kSupported = "null, ByteLevel, Digits, Metaspace, Split, Sequence";

constexpr std::pair<std::string_view, SplitBehavior> kBehaviors[] = {
    {"Removed", SplitBehavior::kRemoved},
    {"Isolated", SplitBehavior::kIsolated},
    {"MergedWithPrevious", SplitBehavior::kMergedWithPrevious},
    {"MergedWithNext", SplitBehavior::kMergedWithNext},
    {"Contiguous", SplitBehavior::kContiguous}};

SplitBehavior read_behavior(const io::JsonCursor& node) {
  const std::string& text = node.as_string();
  for (const auto& [name, behavior] : kBehaviors) {
    if (text == name) return behavior;
  }
  refuse(node, core::concat("is `", core::printable(text), "`; supported: Removed, Isolated, ",
                            "MergedWithPrevious, MergedWithNext, Contiguous"));
}

}  // namespace

PreTokenizer::PreTokenizer(const io::JsonCursor& node) {
  if (!node.value().is_null()) read_step(node);
}

void PreTokenizer::read_step(const io::JsonCursor& node) {
  if (byte_level_) refuse(node, "comes after ByteLevel, which must be the last step");
  const std::string& type = type_of(node);
  if (type == "ByteLevel") {
    read_byte_level(node);
  } else if (type == "Digits") {
    read_digits(node);
  } else if (type == "Split") {
    read_split(node);
  } else if (type == "Metaspace") {
    read_metaspace(node);
  } else if (type == "Sequence") {
    refuse_unknown_members(node, {"type", "pretokenizers"});
    const io::JsonCursor steps = node.at("pretokenizers");
    for (std::size_t i = 0; i < steps.as_array().size(); ++i) read_step(steps.at(i));
  } else {
    refuse_type(node, kPart, kSupported);
  }
}

void PreTokenizer::add_split(std::string name, MatchEnd match) {
  Step step;
  step.name = std::move(name);
  step.match = match;
  steps_.push_back(std::move(step));
}

void PreTokenizer::read_byte_level(const io::JsonCursor& node) {
  refuse_unknown_members(node, {"type", "add_prefix_space", "trim_offsets", "use_regex"});
  if (node.at("add_prefix_space").as_bool()) {
    Step step;
    step.kind = Kind::kPrefixSpace;
    step.name = "prefix space";
    step.literal = " ";
    step.scheme = Scheme::kAlways;
    steps_.push_back(std::move(step));
  }
  if (node.bool_or("use_regex", true)) add_split("GPT-2", match_gpt2);
  byte_level_ = true;
}

void PreTokenizer::read_digits(const io::JsonCursor& node) {
  refuse_unknown_members(node, {"type", "individual_digits"});
  if (node.bool_or("individual_digits", false)) {
    add_split("digit", match_digit);
  } else {
    add_split("digits", match_digits);
  }
}

void PreTokenizer::read_split(const io::JsonCursor& node) {
  refuse_unknown_members(node, {"type", "pattern", "behavior", "invert"});
  Step step;
  step.behavior = read_behavior(node.at("behavior"));
  step.invert = node.bool_or("invert", false);
  const io::JsonCursor pattern = node.at("pattern");
  refuse_unknown_members(pattern, {"Regex", "String"});
  if (pattern.has("String")) {
    step.name = "text";
    step.literal = pattern.at("String").as_string();
    if (step.literal.empty()) pattern.at("String").fail("is empty");
    steps_.push_back(std::move(step));
    return;
  }
  const std::string& regex = pattern.at("Regex").as_string();
  std::vector<std::string> names;
  for (const KnownPattern& known : known_split_patterns()) {
    if (known.regex == regex) {
      step.name = known.name;
      step.match = known.match;
      steps_.push_back(std::move(step));
      return;
    }
    names.push_back(known.name);
  }
  refuse(pattern,
         core::concat("`", core::printable(regex), "` is not a pattern this version knows; ",
                      "known: those of ", core::join(names)));
}

void PreTokenizer::read_metaspace(const io::JsonCursor& node) {
  refuse_unknown_members(
      node, {"type", "replacement", "prepend_scheme", "split", "add_prefix_space", "str_rep"});
  Step step;
  step.kind = Kind::kMetaspace;
  step.name = "Metaspace";
  step.literal = node.at("replacement").as_string();
  if (step.literal.empty() || code_point_at(step.literal, 0).size != step.literal.size()) {
    node.at("replacement").fail("must be one character");
  }
  step.split = node.bool_or("split", true);
  // Older files have add_prefix_space alone.
  const bool adds = node.bool_or("add_prefix_space", true);
  const std::string scheme = node.string_or("prepend_scheme", adds ? "always" : "never");
  if (scheme != "always" && scheme != "first" && scheme != "never") {
    refuse(node.at("prepend_scheme"),
           core::concat("is `", core::printable(scheme), "`; supported: always, first, never"));
  }
  if (!adds && scheme != "never") {
    node.fail("has add_prefix_space false, which contradicts its prepend_scheme");
  }
  step.scheme = scheme == "always"  ? Scheme::kAlways
                : scheme == "first" ? Scheme::kFirst
                                    : Scheme::kNever;
  steps_.push_back(std::move(step));
}

void PreTokenizer::run_split(const Step& step, std::string_view text,
                             std::vector<ByteRange>& pieces) {
  std::vector<ByteRange> parts;
  parts.reserve(text.size() / 4 + 1);
  for (const ByteRange piece : pieces) {
    split_piece(text, piece, {step.match, step.literal, step.invert}, step.behavior, parts);
  }
  pieces.swap(parts);
}

/// `literal` before each piece that does not begin with it, and for Metaspace in place of each
/// space.
void PreTokenizer::put_before(const Step& step, bool at_start, EditedText& edited,
                              std::vector<ByteRange>& pieces) {
  const std::string_view text = edited.text();
  TextEdit edit = edited.edit();
  std::size_t after = 0;  // bytes written
  for (ByteRange& piece : pieces) {
    if (edit.at() < piece.begin) edit.replace(piece.begin - edit.at(), "");
    const std::size_t begin = after;
    const std::string_view part = text.substr(piece.begin, piece.end - piece.begin);
    const bool spaces = step.kind == Kind::kMetaspace;
    const bool has_it = part.starts_with(step.literal) || (spaces && part.starts_with(' '));
    const bool wants_it = step.scheme == Scheme::kAlways ||
                          (step.scheme == Scheme::kFirst && at_start && piece.begin == 0);
    if (wants_it && !has_it) {
      edit.replace(0, step.literal);
      after += step.literal.size();
    }
    while (edit.at() < piece.end) {
      const std::size_t space = spaces ? std::min(text.find(' ', edit.at()), piece.end) : piece.end;
      after += space - edit.at();
      edit.keep(space - edit.at());
      if (space == piece.end) break;
      edit.replace(1, step.literal);
      after += step.literal.size();
    }
    piece = {begin, after};
  }
  if (edit.at() < text.size()) edit.replace(text.size() - edit.at(), "");
  edited.apply(std::move(edit));
}

void PreTokenizer::split(EditedText& text, bool at_start, std::vector<ByteRange>& pieces) const {
  pieces.clear();
  if (!text.text().empty()) pieces.push_back({0, text.text().size()});
  for (const Step& step : steps_) {
    if (step.kind == Kind::kSplit) {
      run_split(step, text.text(), pieces);
      continue;
    }
    put_before(step, at_start, text, pieces);
    if (!step.split) continue;
    Step before_each;
    before_each.literal = step.literal;
    before_each.behavior = SplitBehavior::kMergedWithNext;
    run_split(before_each, text.text(), pieces);
  }
}

bool PreTokenizer::looks_at_start() const {
  return std::ranges::find(steps_, Scheme::kFirst, &Step::scheme) != steps_.end();
}

std::string PreTokenizer::description() const {
  std::string text = byte_level_ ? "bytes" : "";
  for (const Step& step : steps_) {
    text += core::concat("|", step.name, ":", step.literal.size(), ":", step.literal, ":",
                         static_cast<int>(step.behavior), step.invert,
                         static_cast<int>(step.scheme), step.split);
  }
  return text;
}

}  // namespace distill::text::detail

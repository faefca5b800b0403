#include "text/pre_tokenizer.h"

#include <distill/core/error.h>
#include <distill/core/strings.h>

#include "text/json_members.h"
#include "text/unicode.h"

namespace distill::text::detail {
namespace {

constexpr std::string_view kPart = "pre_tokenizer";
constexpr std::string_view kSupported = "ByteLevel, Digits, Split, Sequence";

/// Matches become pieces of their own, and so does what lies between them.
void isolate(std::string_view text, MatchEnd match, std::vector<std::string_view>& out) {
  std::size_t gap = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = match(text, at);
    if (end == at) {
      at += code_point_at(text, at).size;
      continue;
    }
    if (gap < at) out.push_back(text.substr(gap, at - gap));
    out.push_back(text.substr(at, end - at));
    at = gap = end;
  }
  if (gap < text.size()) out.push_back(text.substr(gap));
}

}  // namespace

PreTokenizer::PreTokenizer(const io::JsonCursor& node) {
  if (node.value().is_null()) {
    fail<UnsupportedError>(node.source(),
                           ": no pre_tokenizer is not supported; supported: ", kSupported);
  }
  read_step(node);
  if (!byte_level_seen_) {
    refuse(node, "has no ByteLevel step; only byte-level tokenizers are supported");
  }
}

void PreTokenizer::read_step(const io::JsonCursor& node) {
  if (byte_level_seen_) refuse(node, "comes after ByteLevel, which must be the last step");
  const std::string& type = type_of(node);
  if (type == "ByteLevel") {
    read_byte_level(node);
  } else if (type == "Digits") {
    read_digits(node);
  } else if (type == "Split") {
    read_split(node);
  } else if (type == "Sequence") {
    refuse_unknown_members(node, {"type", "pretokenizers"});
    const io::JsonCursor steps = node.at("pretokenizers");
    for (std::size_t i = 0; i < steps.as_array().size(); ++i) read_step(steps.at(i));
  } else {
    refuse_type(node, kPart, kSupported);
  }
}

void PreTokenizer::read_byte_level(const io::JsonCursor& node) {
  refuse_unknown_members(node, {"type", "add_prefix_space", "trim_offsets", "use_regex"});
  adds_prefix_space_ = node.at("add_prefix_space").as_bool();
  if (adds_prefix_space_ && !steps_.empty()) {
    refuse(node, "sets add_prefix_space after another step, which is not supported");
  }
  if (node.bool_or("use_regex", true)) steps_.push_back({"GPT-2", match_gpt2});
  byte_level_seen_ = true;
}

void PreTokenizer::read_digits(const io::JsonCursor& node) {
  refuse_unknown_members(node, {"type", "individual_digits"});
  if (node.bool_or("individual_digits", false)) {
    steps_.push_back({"digit", match_digit});
  } else {
    steps_.push_back({"digits", match_digits});
  }
}

void PreTokenizer::read_split(const io::JsonCursor& node) {
  refuse_unknown_members(node, {"type", "pattern", "behavior", "invert"});
  const std::string& behavior = node.at("behavior").as_string();
  if (behavior != "Isolated" || node.bool_or("invert", false)) {
    refuse(node, core::concat("splits with behavior `", core::printable(behavior),
                              "` or inverted; supported: Isolated, not inverted"));
  }
  const io::JsonCursor pattern = node.at("pattern");
  refuse_unknown_members(pattern, {"Regex"});
  const std::string& regex = pattern.at("Regex").as_string();
  std::vector<std::string> names;
  for (const KnownPattern& known : known_split_patterns()) {
    if (known.regex == regex) {
      steps_.push_back({known.name, known.match});
      return;
    }
    names.push_back(known.name);
  }
  refuse(pattern,
         core::concat("`", core::printable(regex), "` is not a pattern this version knows; ",
                      "known: those of ", core::join(names)));
}

std::vector<std::string_view> PreTokenizer::split(std::string_view text) const {
  std::vector<std::string_view> pieces;
  if (!text.empty()) pieces.push_back(text);
  std::vector<std::string_view> parts;
  for (const Step& step : steps_) {
    parts.clear();
    for (const std::string_view piece : pieces) isolate(piece, step.match, parts);
    pieces.swap(parts);
  }
  return pieces;
}

std::string PreTokenizer::description() const {
  std::string text = adds_prefix_space_ ? "prefix space" : "";
  for (const Step& step : steps_) text += "|" + step.name;
  return text;
}

}  // namespace distill::text::detail

#include <distill/core/error.h>

#include "text/detokenizer.h"
#include "text/json_members.h"

namespace distill::text::detail {
namespace {

constexpr std::string_view kSupported =
    "ByteLevel, Metaspace, Sequence of Replace, Metaspace, ByteFallback, Fuse, Strip in this order";

/// Reads steps; each kind may come only after those before it in the list of what is supported.
class Reader {
 public:
  DecoderPlan take() { return std::move(plan_); }

  void read(const io::JsonCursor& node) {
    const std::string& type = type_of(node);
    if (type == "Sequence") {
      refuse_unknown_members(node, {"type", "decoders"});
      const io::JsonCursor steps = node.at("decoders");
      for (std::size_t i = 0; i < steps.as_array().size(); ++i) read(steps.at(i));
      return;
    }
    if (plan_.byte_level) refuse(node, "comes after ByteLevel, which must be the only step");
    if (type == "ByteLevel") {
      read_byte_level(node);
    } else if (type == "Metaspace") {
      read_metaspace(node);
    } else if (type == "Replace") {
      read_replace(node);
    } else if (type == "ByteFallback") {
      refuse_unknown_members(node, {"type"});
      enter(node, 1);
      plan_.byte_fallback = true;
    } else if (type == "Fuse") {
      refuse_unknown_members(node, {"type"});
      enter(node, 2);
    } else if (type == "Strip") {
      read_strip(node);
    } else {
      refuse_type(node, "decoder", kSupported);
    }
  }

 private:
  void enter(const io::JsonCursor& node, int place) {
    if (place < place_) refuse(node, core::concat("is out of order; supported: ", kSupported));
    place_ = place;
  }

  void read_byte_level(const io::JsonCursor& node) {
    // Its settings are for splitting; decoding reads none of them.
    refuse_unknown_members(node, {"type", "add_prefix_space", "trim_offsets", "use_regex"});
    if (place_ > 0 || !plan_.replace.empty()) refuse(node, "must be the only step of the decoder");
    plan_.byte_level = true;
  }

  void read_metaspace(const io::JsonCursor& node) {
    refuse_unknown_members(
        node, {"type", "replacement", "prepend_scheme", "split", "add_prefix_space", "str_rep"});
    enter(node, 0);
    const bool adds = node.bool_or("add_prefix_space", true);
    const std::string scheme = node.string_or("prepend_scheme", adds ? "always" : "never");
    plan_.replace.push_back({node.at("replacement").as_string(), " ", scheme != "never"});
    check_from(node.at("replacement"));
  }

  void read_replace(const io::JsonCursor& node) {
    refuse_unknown_members(node, {"type", "pattern", "content"});
    enter(node, 0);
    const io::JsonCursor pattern = node.at("pattern");
    refuse_unknown_members(pattern, {"String"});
    plan_.replace.push_back({pattern.at("String").as_string(), node.at("content").as_string()});
    check_from(pattern.at("String"));
  }

  void check_from(const io::JsonCursor& from) {
    if (plan_.replace.back().from.empty()) from.fail("is empty");
  }

  void read_strip(const io::JsonCursor& node) {
    refuse_unknown_members(node, {"type", "content", "start", "stop"});
    if (place_ != 2) refuse(node, "must come once, after Fuse");
    enter(node, 3);
    if (node.int_or("stop", 0) != 0) refuse(node.at("stop"), "is not supported; expected 0");
    plan_.strip = node.at("content").as_string();
    if (plan_.strip.empty()) node.at("content").fail("is empty");
    plan_.strip_count = static_cast<std::size_t>(node.at("start").int_in(0, 1 << 20));
  }

  DecoderPlan plan_;
  int place_ = 0;
};

}  // namespace

DecoderPlan read_decoder(const io::JsonCursor& node) {
  if (node.value().is_null()) {
    fail<UnsupportedError>(node.source(), ": no decoder is not supported; supported: ", kSupported);
  }
  Reader reader;
  reader.read(node);
  return reader.take();
}

}  // namespace distill::text::detail

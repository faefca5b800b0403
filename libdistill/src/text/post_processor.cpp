#include "text/post_processor.h"

#include <distill/core/strings.h>

#include "text/json_members.h"

namespace distill::text::detail {
namespace {

using IdOf = std::function<std::int64_t(std::string_view)>;

/// The ids of an entry of `special_tokens`, each the id of the token beside it.
void append_special(const io::JsonCursor& root, const io::JsonCursor& piece, const IdOf& id_of,
                    TokenIds& out) {
  const io::JsonCursor entry = root.at("special_tokens").at(piece.at("id").as_string());
  const io::JsonCursor ids = entry.at("ids");
  const io::JsonCursor tokens = entry.at("tokens");
  if (ids.as_array().empty() || ids.size() != tokens.as_array().size()) {
    entry.fail("must list as many `ids` as `tokens`, and at least one");
  }
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const std::string& token = tokens.at(i).as_string();
    const std::int64_t id = ids.at(i).as_int();
    if (id < 0 || id_of(token) != id) {
      ids.at(i).fail(core::concat("is ", id, ", which is not the id of `", core::printable(token),
                                  "` in this tokenizer"));
    }
    out.push_back(id);
  }
}

SpecialFrame read_template(const io::JsonCursor& node, const IdOf& id_of) {
  refuse_unknown_members(node, {"type", "single", "pair", "special_tokens"});
  const io::JsonCursor single = node.at("single");
  SpecialFrame frame;
  int sequences = 0;
  for (std::size_t i = 0; i < single.as_array().size(); ++i) {
    const io::JsonCursor piece = single.at(i);
    refuse_unknown_members(piece, {"SpecialToken", "Sequence"});
    if (piece.has("SpecialToken")) {
      append_special(node, piece.at("SpecialToken"), id_of,
                     sequences == 0 ? frame.before : frame.after);
    } else {
      if (piece.at("Sequence").at("id").as_string() != "A") {
        piece.fail("must be the sequence `A` in a template for one text");
      }
      ++sequences;
    }
  }
  if (sequences != 1) single.fail("must hold the sequence `A` exactly once");
  return frame;
}

}  // namespace

SpecialFrame read_post_processor(const io::JsonCursor& node, const IdOf& id_of) {
  if (node.value().is_null()) return {};
  const std::string& type = type_of(node);
  if (type == "ByteLevel") {
    // It corrects offsets only.
    refuse_unknown_members(node, {"type", "add_prefix_space", "trim_offsets", "use_regex"});
    return {};
  }
  if (type == "TemplateProcessing") return read_template(node, id_of);
  if (type != "Sequence") {
    refuse_type(node, "post_processor", "null, ByteLevel, TemplateProcessing, Sequence of these");
  }
  refuse_unknown_members(node, {"type", "processors"});
  SpecialFrame frame;
  int templates = 0;
  const io::JsonCursor steps = node.at("processors");
  for (std::size_t i = 0; i < steps.as_array().size(); ++i) {
    const io::JsonCursor step = steps.at(i);
    if (type_of(step) == "Sequence") refuse(step, "nests a Sequence, which is not supported");
    if (type_of(step) == "TemplateProcessing" && ++templates > 1) {
      refuse(step, "is a second TemplateProcessing, which is not supported");
    }
    const SpecialFrame more = read_post_processor(step, id_of);
    frame.before.insert(frame.before.end(), more.before.begin(), more.before.end());
    frame.after.insert(frame.after.end(), more.after.begin(), more.after.end());
  }
  return frame;
}

}  // namespace distill::text::detail

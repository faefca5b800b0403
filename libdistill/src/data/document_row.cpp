#include <distill/data/document_row.h>

#include <distill/core/error.h>
#include <distill/core/strings.h>
#include <distill/io/json_value.h>

namespace distill::data {

namespace {

/// The members of a row for a message: names only, a few of them, null ones marked.
std::string member_names(const io::JsonObject& object) {
  constexpr std::size_t kShown = 5;
  std::vector<std::string> names;
  for (const auto& [name, value] : object.members()) {
    if (names.size() == kShown) {
      names.emplace_back("...");
      break;
    }
    names.push_back(
        core::concat("`", core::printable(name, 20), value.is_null() ? "` (null)" : "`"));
  }
  return names.empty() ? "no members" : core::join(names);
}

std::string read_text(const io::JsonCursor& text) {
  if (text.as_string().empty()) text.fail("is empty, expected at least one character");
  return text.as_string();
}

std::vector<text::ChatMessage> read_messages(const io::JsonCursor& messages) {
  const std::size_t count = messages.as_array().size();
  if (count == 0) messages.fail("is empty, expected at least one message");
  std::vector<text::ChatMessage> result;
  result.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    const io::JsonCursor message = messages.at(i);
    const io::JsonCursor role = message.at("role");
    result.push_back({role.as_string(), message.at("content").as_string()});
    if (result.back().role.empty()) role.fail("is empty, expected system, user or assistant");
  }
  return result;
}

}  // namespace

DocumentRow parse_document_row(const io::JsonlReader::Row& row) {
  const io::JsonCursor cursor(row.value, row.source);
  const bool has_text = cursor.has("text");
  const bool has_messages = cursor.has("messages");
  if (has_text && has_messages) {
    fail<FormatError>(row.source, ": holds both `text` and `messages`, expected one of them");
  }
  if (!has_text && !has_messages) {
    fail<FormatError>(row.source, ": expected a member `text` or `messages`, found ",
                      member_names(cursor.as_object()));
  }
  if (has_text) return {read_text(cursor.at("text")), row.source};
  return {read_messages(cursor.at("messages")), row.source};
}

}  // namespace distill::data

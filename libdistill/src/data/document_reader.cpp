#include "data/document_reader.h"

#include <distill/core/checked.h>
#include <distill/core/error.h>
#include <distill/core/strings.h>
#include <distill/io/json_value.h>
#include <distill/io/jsonl.h>

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

/// What the tokenizer or the template has to say, under the row's name.
template <class Action>
auto at_row(const std::string& source, Action&& action) {
  try {
    return action();
  } catch (const InputError& error) {
    fail<FormatError>(source, ": ", error.what());
  }
}

class Reader {
 public:
  Reader(const text::Tokenizer& tokenizer, const text::ChatTemplate* chat, TokenStore& tokens)
      : tokenizer_(tokenizer), chat_(chat), tokens_(tokens) {}

  Span read(const io::JsonlReader::Row& row) {
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
    return has_text ? read_text(cursor.at("text"), row.source)
                    : read_chat(cursor.at("messages"), row.source);
  }

 private:
  Span read_text(const io::JsonCursor& text, const std::string& source) {
    if (text.as_string().empty()) text.fail("is empty, expected at least one character");
    text::TokenIds ids =
        at_row(source, [&] { return tokenizer_.encode(text.as_string(), /*add_special=*/true); });
    // The post-processor may have put it there already.
    const std::int64_t eos = tokenizer_.eos_id();
    if (eos >= 0 && (ids.empty() || ids.back() != eos)) ids.push_back(eos);
    if (ids.empty()) text.fail("gives no tokens");
    const Span span = append(ids, source);
    tokens_.is_target.resize(tokens_.ids.size(), true);
    return span;
  }

  Span read_chat(const io::JsonCursor& messages, const std::string& source) {
    const auto parsed = read_messages(messages);
    if (chat_ == nullptr) {
      fail<InputError>(source,
                       ": `messages` need a chat template and there is none; set "
                       "`chat_template: chatml`, or give rows with `text`");
    }
    const text::EncodedChat encoded =
        at_row(source, [&] { return text::encode_chat(*chat_, tokenizer_, parsed, false); });
    const Span span = append(encoded.ids, source);
    tokens_.is_target.insert(tokens_.is_target.end(), encoded.is_target.begin(),
                             encoded.is_target.end());
    if (count_targets(tokens_, span) == 0) {
      messages.fail("hold nothing to learn, expected a message of the assistant");
    }
    return span;
  }

  Span append(const text::TokenIds& ids, const std::string& source) {
    const Span span{static_cast<std::int64_t>(tokens_.ids.size()),
                    static_cast<std::int64_t>(ids.size())};
    for (const std::int64_t id : ids) {
      const auto narrow = core::checked_cast<std::int32_t>(id);
      if (!narrow || *narrow < 0) fail<InputError>(source, ": the tokenizer gave the id ", id);
      tokens_.ids.push_back(*narrow);
    }
    return span;
  }

  const text::Tokenizer& tokenizer_;
  const text::ChatTemplate* chat_;
  TokenStore& tokens_;
};

}  // namespace

std::vector<Span> read_documents(const std::string& path, const text::Tokenizer& tokenizer,
                                 const text::ChatTemplate* chat, TokenStore& tokens) {
  std::vector<Span> documents;
  io::JsonlReader lines(path);
  Reader reader(tokenizer, chat, tokens);
  while (const auto row = lines.next()) documents.push_back(reader.read(*row));
  return documents;
}

}  // namespace distill::data

#include "data/document_encoder.h"

#include <algorithm>

#include <distill/core/checked.h>
#include <distill/core/error.h>
#include <distill/core/hash.h>

namespace distill::data {

namespace {

// Raise it when the same rows become other ids: caches of before are built anew then.
// Version 1 could hold tokens of a file that grew while it was read.
constexpr int kEncodingVersion = 2;

/// What the tokenizer or the template has to say, under the row's name.
template <class Action>
auto at_row(const std::string& source, Action&& action) {
  try {
    return action();
  } catch (const UnsupportedError& error) {
    fail<UnsupportedError>(source, ": ", error.what());
  } catch (const InputError& error) {
    fail<FormatError>(source, ": ", error.what());
  }
}

EncodedDocument make_document(const text::TokenIds& ids, const auto& is_target,
                              const std::string& source) {
  EncodedDocument document;
  document.words.reserve(ids.size());
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const auto narrow = core::checked_cast<std::int32_t>(ids[i]);
    if (!narrow || *narrow < 0) fail<InputError>(source, ": the tokenizer gave the id ", ids[i]);
    document.words.push_back(static_cast<Word>(*narrow) | (is_target(i) ? kTargetBit : 0));
  }
  document.targets = static_cast<std::uint64_t>(count_targets(document.words));
  return document;
}

/// Conversations that tell templates apart: system messages, several turns, blanks at the ends,
/// thoughts, nothing at all.
std::vector<std::vector<text::ChatMessage>> probes() {
  const text::ChatMessage system{"system", " Be brief.\n"};
  const text::ChatMessage user{"user", " What is 2 + 2?\n"};
  const text::ChatMessage thought{"assistant", "<think>\nEasy.\n</think>\n\n4 \n"};
  const text::ChatMessage answer{"assistant", "\n5 "};
  return {{user, answer},           {system, user, answer}, {user, thought, user, answer},
          {user, answer, user},     {answer, user, answer}, {system, user, thought},
          {user, thought, user},    {system, system, user}, {{"tool", "{}"}, user},
          {user, {"assistant", ""}}};
}

/// An answer without words, before others and as the last one: templates may write the last one
/// in another way.
std::vector<std::string> empty_answers(const text::ChatTemplate& chat) {
  const text::ChatMessage user{"user", "a"};
  const text::ChatMessage nothing{"assistant", ""};
  std::vector<std::string> found;
  try {
    for (auto& span : chat.render({user, nothing, user, nothing}, false)) {
      if (span.is_target) found.push_back(std::move(span.text));
    }
  } catch (const InputError&) {
    // A template that is not known: its rows are refused one by one.
  }
  return found;
}

void add_rendering(core::Hasher& hasher, const text::ChatTemplate& chat,
                   const std::vector<text::ChatMessage>& messages) {
  try {
    for (const auto& span : chat.render(messages, false)) {
      hasher.add(core::concat(span.is_target ? "+" : "-", span.text.size(), ":"));
      hasher.add(span.text);
    }
  } catch (const InputError& error) {
    hasher.add(error.what());
  }
  hasher.add("\n");
}

}  // namespace

DocumentEncoder::DocumentEncoder(const text::Tokenizer& tokenizer, const text::ChatTemplate* chat)
    : tokenizer_(tokenizer), chat_(chat), frame_(text::text_frame(tokenizer)) {
  if (chat != nullptr) empty_answers_ = empty_answers(*chat);
}

EncodedDocument DocumentEncoder::encode(const DocumentRow& row) const {
  if (const auto* text = row.text()) return encode_text(*text, row.source);
  if (const auto* completion = row.completion()) return encode_completion(*completion, row.source);
  return encode_chat(*row.messages(), row.source);
}

void DocumentEncoder::end_document(text::TokenIds& ids) const {
  // The post-processor may have put it there already.
  const std::int64_t eos = tokenizer_.eos_id();
  if (eos >= 0 && (ids.empty() || ids.back() != eos)) ids.push_back(eos);
}

EncodedDocument DocumentEncoder::encode_text(const std::string& text,
                                             const std::string& source) const {
  text::TokenIds ids =
      at_row(source, [&] { return tokenizer_.encode(text, /*add_special=*/true); });
  end_document(ids);
  if (ids.empty()) fail<FormatError>(source, ": `text` gives no tokens");
  return make_document(
      ids, [](std::size_t) { return true; }, source);
}

EncodedDocument DocumentEncoder::encode_completion(const Completion& row,
                                                   const std::string& source) const {
  const text::TokenizedText tokens =
      at_row(source, [&] { return tokenizer_.encode_with_ranges(row.prompt + row.completion); });
  text::TokenIds ids = frame_.before;
  ids.insert(ids.end(), tokens.ids.begin(), tokens.ids.end());
  ids.insert(ids.end(), frame_.after.begin(), frame_.after.end());
  end_document(ids);
  // A token is a target when any byte of it belongs to the completion; so is the end.
  const auto is_target = [&](std::size_t i) {
    if (i < frame_.before.size()) return false;
    const std::size_t at = i - frame_.before.size();
    return at >= tokens.ranges.size() || tokens.ranges[at].end > row.prompt.size();
  };
  EncodedDocument document = make_document(ids, is_target, source);
  if (document.targets == 0) fail<FormatError>(source, ": `completion` gives no tokens to learn");
  return document;
}

EncodedDocument DocumentEncoder::encode_chat(const std::vector<text::ChatMessage>& messages,
                                             const std::string& source) const {
  if (chat_ == nullptr) {
    fail<InputError>(source,
                     ": a conversation needs a chat template and there is none; set "
                     "`chat_template: chatml`, or give rows with `text`");
  }
  const auto spans = at_row(source, [&] { return chat_->render(messages, false); });
  for (const text::ChatSpan& span : spans) {
    if (!span.is_target || std::ranges::find(empty_answers_, span.text) == empty_answers_.end()) {
      continue;
    }
    fail<FormatError>(source,
                      ": the chat template leaves nothing of an answer, expected words behind its "
                      "reasoning (</think>); the student would learn to say nothing");
  }
  const text::EncodedChat encoded =
      at_row(source, [&] { return text::encode_spans(spans, tokenizer_); });
  EncodedDocument document = make_document(
      encoded.ids, [&](std::size_t i) { return encoded.is_target[i]; }, source);
  if (document.targets == 0) {
    fail<FormatError>(
        source, ": a conversation with nothing to learn, expected a message of the assistant");
  }
  return document;
}

std::string DocumentEncoder::fingerprint() const {
  core::Hasher hasher;
  hasher.add(core::concat("encoding ", kEncodingVersion, " of ", DISTILL_VERSION, "\n",
                          tokenizer_.fingerprint(), "\neos ", tokenizer_.eos_id(), " ids ",
                          tokenizer_.vocab_size(), "\n"));
  for (const auto* ids : {&frame_.before, &frame_.after}) {
    for (const std::int64_t id : *ids) hasher.add(core::concat(id, " "));
    hasher.add("\n");
  }
  if (chat_ != nullptr) {
    hasher.add(chat_->name());
    for (const auto& messages : probes()) add_rendering(hasher, *chat_, messages);
  }
  return hasher.hex();
}

}  // namespace distill::data

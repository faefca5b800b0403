#include <distill/recipe/preflight.h>

#include <algorithm>
#include <optional>

#include <distill/core/error.h>
#include <distill/core/paths.h>
#include <distill/core/strings.h>

#include "recipe/compare_tokenizers.h"

namespace distill::recipe {

namespace {

using core::concat;
using core::with_thousands;
using Result = Check::Result;

Check check_tokenizers(const TextSide& student, const TextSide& teacher) {
  Check check{Result::kGood, "tokenizers", ""};
  if (student.tokenizer.fingerprint() == teacher.tokenizer.fingerprint()) {
    check.what = concat("the same ", with_thousands(student.tokenizer.vocab_size()), " ids");
    return check;
  }
  const TokenizerDifference difference = compare(student.tokenizer, teacher.tokenizer);
  const std::int64_t wrong = difference.ids + difference.missing;
  if (wrong > 0) {
    check.result = Result::kError;
    check.what = concat(
        student.folder.string(), ": its tokenizer gives other ids than that of the teacher ",
        teacher.folder.string(), ", so their logits cannot be compared: ", with_thousands(wrong),
        " of ", with_thousands(student.tokenizer.vocab_size()), " ids differ (",
        core::join(difference.examples),
        "); use a pair with one tokenizer, or losses for other tokenizers: alm, uld");
  } else if (!difference.other_cut.empty()) {
    check.result = Result::kError;
    check.what =
        concat(student.folder.string(), ": its tokenizer gives other ids than that of the teacher ",
               teacher.folder.string(), ": the vocabularies agree, but not how they cut `",
               core::printable(difference.other_cut, 40),
               "`; use a pair with one tokenizer, or losses for other tokenizers: alm, uld");
  } else {
    check.result = Result::kWarning;
    check.what = concat(
        "not word for word the same, but all ids of the student mean the same to the teacher",
        difference.surplus > 0 ? concat(", which has ", difference.surplus, " more") : "");
  }
  return check;
}

Check check_vocabulary(const char* who, const TextSide& side, std::int64_t ids) {
  Check check{Result::kGood, "vocabulary", ""};
  if (ids > side.vocab_size) {
    check.result = Result::kError;
    check.what = concat(side.folder.string(), ": the tokenizer has ", ids, " ids, the model only ",
                        side.vocab_size, " (`vocab_size` in config.json)");
    return check;
  }
  check.what = concat("the ", who, " has ", with_thousands(side.vocab_size), " rows for ",
                      with_thousands(ids), " ids");
  if (side.vocab_size > ids) {
    check.what += concat("; ", with_thousands(side.vocab_size - ids), " are padding and not used");
  }
  return check;
}

std::string token_text(const text::Tokenizer& tokenizer, std::int64_t id) {
  if (id < 0) return "none";
  try {
    return concat("`", core::printable(tokenizer.token_bytes(id), 40), "` (", id, ")");
  } catch (const InputError&) {
    return concat(id);
  }
}

Check check_end(const TextSide& student, const TextSide* teacher) {
  const std::int64_t eos = student.tokenizer.eos_id();
  Check check{Result::kGood, "end of text", token_text(student.tokenizer, eos)};
  if (eos < 0) {
    check.result = Result::kWarning;
    check.what = "the student's tokenizer has no EOS: from rows of text it does not learn to stop";
  } else if (teacher != nullptr && teacher->tokenizer.eos_id() != eos) {
    check.result = Result::kWarning;
    check.what = concat("the student ends with ", check.what, ", the teacher with ",
                        token_text(teacher->tokenizer, teacher->tokenizer.eos_id()),
                        ": what the teacher expects there is no help to the student");
  }
  return check;
}

Check check_padding(const TextSide& student, const TextSide* teacher) {
  const std::int64_t pad = student.tokenizer.pad_id();
  Check check{Result::kGood, "padding",
              concat(token_text(student.tokenizer, pad),
                     pad >= 0 && pad == student.tokenizer.eos_id() ? ", which is the EOS too" : "",
                     "; batches hold none, and no id is masked")};
  if (teacher != nullptr && teacher->tokenizer.pad_id() != pad) {
    check.result = Result::kWarning;
    check.what = concat("the student has ", token_text(student.tokenizer, pad), ", the teacher ",
                        token_text(teacher->tokenizer, teacher->tokenizer.pad_id()),
                        "; training needs none, other programs may");
  }
  return check;
}

using Messages = std::vector<text::ChatMessage>;

/// The text of a conversation, or why there is none.
std::string rendered(const text::ChatTemplate& chat, const Messages& messages) {
  std::string text;
  try {
    for (const auto& span : chat.render(messages, false)) text += span.text;
  } catch (const UnsupportedError&) {
    throw;
  } catch (const InputError& error) {
    text = error.what();
  }
  return text;
}

/// A conversation that two templates write differently, as the student's writes it.
std::optional<std::pair<std::string, std::string>> difference(const text::ChatTemplate& student,
                                                              const text::ChatTemplate& teacher) {
  const text::ChatMessage system{"system", "Be brief."};
  const text::ChatMessage user{"user", "What is 2 + 2?"};
  const text::ChatMessage answer{"assistant", "4"};
  for (const Messages& messages :
       {Messages{user, answer}, Messages{system, user, answer},
        Messages{user, answer, user, answer}, Messages{system, user, answer, user, answer}}) {
    std::string own = rendered(student, messages);
    std::string other = rendered(teacher, messages);
    if (own != other) return std::pair(std::move(own), std::move(other));
  }
  return std::nullopt;
}

Check check_templates(const TextSide& student, const TextSide& teacher, bool chosen) {
  Check check{Result::kGood, "chat template", "", true};
  if (student.chat == nullptr) {
    check.what = "none";
    return check;
  }
  if (teacher.chat == nullptr) {
    check.result = Result::kWarning;
    check.what = concat("the student's is ", student.chat->name(),
                        ", the teacher has none: it may not know how to read conversations");
    return check;
  }
  try {
    const auto other = difference(*student.chat, *teacher.chat);
    check.what = concat(student.chat->name(), other ? "" : ", the same as the teacher's");
    if (!other) return check;
    check.result = chosen ? Result::kWarning : Result::kError;
    const auto where = std::mismatch(other->first.begin(), other->first.end(),
                                     other->second.begin(), other->second.end());
    const auto from = [](const std::string& text, std::string::const_iterator at) {
      return core::printable(text.substr(static_cast<std::size_t>(at - text.begin())), 30);
    };
    check.what = concat("the student's writes conversations differently from the teacher's: `",
                        from(other->first, where.first), "` where that has `",
                        from(other->second, where.second), "`");
    if (!chosen) check.what += "; name the one to use with `data.chat_template`";
  } catch (const UnsupportedError&) {
    check.result = Result::kWarning;
    check.what = "one of them is not known, so they could not be compared";
  }
  return check;
}

const char* name_of(Result result) {
  return result == Result::kGood ? "ok" : result == Result::kWarning ? "warning" : "error";
}

}  // namespace

Preflight check_text(const TextSide& student, const TextSide* teacher, bool chosen_template) {
  Preflight preflight;
  const std::int64_t ids = student.tokenizer.vocab_size();
  if (teacher != nullptr) preflight.checks.push_back(check_tokenizers(student, *teacher));
  preflight.checks.push_back(check_vocabulary("student", student, ids));
  if (teacher != nullptr) preflight.checks.push_back(check_vocabulary("teacher", *teacher, ids));
  preflight.checks.push_back(check_end(student, teacher));
  preflight.checks.push_back(check_padding(student, teacher));
  if (teacher != nullptr) {
    preflight.checks.push_back(check_templates(student, *teacher, chosen_template));
  } else {
    preflight.checks.push_back({Result::kGood, "chat template",
                                student.chat != nullptr ? student.chat->name() : "none", true});
  }
  return preflight;
}

void require_no_errors(const Preflight& preflight, bool has_conversations) {
  std::string errors;
  for (const Check& check : preflight.checks) {
    if (check.result != Result::kError || (check.for_conversations && !has_conversations)) continue;
    errors += concat(errors.empty() ? "" : "\n", check.subject, ": ", check.what);
  }
  if (!errors.empty()) throw ConfigError(errors);
}

std::string preflight_text(const Preflight& preflight, const std::string& indent) {
  std::string text;
  for (const Check& check : preflight.checks) {
    std::string name = name_of(check.result);
    name.resize(std::max<std::size_t>(name.size(), 7), ' ');
    text += concat(indent, name, "  ", check.subject, ": ", check.what, "\n");
  }
  return text;
}

void write_json(core::JsonWriter& json, const Preflight& preflight) {
  json.begin_array();
  for (const Check& check : preflight.checks) {
    json.begin_object()
        .member("subject", check.subject)
        .member("result", name_of(check.result))
        .member("what", check.what)
        .end_object();
  }
  json.end_array();
}

}  // namespace distill::recipe

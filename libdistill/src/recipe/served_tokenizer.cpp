#include "recipe/served_tokenizer.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include <distill/core/error.h>
#include <distill/core/strings.h>

#include "recipe/compare_tokenizers.h"

namespace distill::recipe {

namespace {

constexpr std::int64_t kLongestProbe = 256;

const char* advice(const StudentText& text) {
  return text.own ? "; name the folder of the served model's own tokenizer as `teacher.tokenizer`"
                  : "; use a pair with one tokenizer, the loss `alm`, or train on the teacher's "
                    "answers (`distill generate-data`)";
}

std::string_view without_blanks_before(std::string_view text) {
  return text.substr(std::min(text.find_first_not_of(' '), text.size()));
}

/// How the student spells it; nothing for a number that is no id of it.
std::optional<std::string> spelling(const text::Tokenizer& tokenizer, std::int64_t id) {
  if (id >= tokenizer.vocab_size()) return std::nullopt;
  try {
    return tokenizer.token_bytes(id);
  } catch (const InputError&) {
    return std::nullopt;
  }
}

/// The number of ids that could be compared.
std::int64_t compare_spellings(const teachers::ServerTeacher& teacher, const StudentText& student) {
  std::int64_t same = 0;
  std::int64_t others = 0;
  std::string example;
  for (const auto& [id, served] : teacher.token_texts()) {
    const auto own = spelling(student.tokenizer, id);
    if (!own || own->empty() || served.empty()) continue;
    if (is_same_spelling(*own, served)) {
      ++same;
    } else if (++others == 1) {
      example = core::concat(id, " is `", core::printable(*own, 24), "` and `",
                             core::printable(served, 24), "`");
    }
  }
  if (others > 0) {
    fail<ConfigError>("teacher: its ids mean something else than those of ",
                      student.folder.string(), ": ", others, " of ", same + others,
                      " differ, such as ", example, advice(student));
  }
  return same;
}

/// False: the server does not tell.
bool compare_cuts(teachers::ServerTeacher& teacher, const StudentText& student) {
  for (const std::string text : telling_texts()) {
    const auto served = teacher.tokenize(text);
    if (!served) return false;
    if (*served == student.tokenizer.encode(text, /*add_special=*/false)) continue;
    fail<ConfigError>("teacher: its tokenizer gives other ids than that of ",
                      student.folder.string(), " for `", core::printable(text, 40), "`",
                      advice(student));
  }
  return true;
}

}  // namespace

text::TokenIds probe_of(const text::Tokenizer& tokenizer, std::int64_t most) {
  text::TokenIds ids;
  for (const std::string text : telling_texts()) {
    const auto more = tokenizer.encode(text, /*add_special=*/false);
    ids.insert(ids.end(), more.begin(), more.end());
  }
  const std::int64_t longest = std::clamp<std::int64_t>(most, 2, kLongestProbe);
  if (std::ssize(ids) > longest) ids.resize(static_cast<std::size_t>(longest));
  return ids;
}

bool is_same_spelling(const std::string& own, const std::string& served) {
  constexpr const char* kReplacement = "\xef\xbf\xbd";
  if (!core::is_utf8(own) || served.find(kReplacement) != std::string::npos) return true;
  return without_blanks_before(own) == without_blanks_before(served);
}

void check_served_tokenizer(teachers::ServerTeacher& teacher, const StudentText& student,
                            core::Logger& log) {
  const std::int64_t spelt = student.compared ? 0 : compare_spellings(teacher, student);
  const bool cut = compare_cuts(teacher, student);
  if (spelt > 0 || cut || student.compared) return;
  log.warning("teacher: the server does not say how it spells ids, so its tokenizer could not be ",
              "compared with that of ", student.folder.string(),
              student.own ? "" : "; give the folder of its own as `teacher.tokenizer`");
}

std::int64_t most_sent_tokens(const ServerTeacherOptions& options, std::int64_t sequence_length) {
  return options.max_tokens.value_or(4 * sequence_length);
}

void check_served_length(const teachers::ServerTeacher& teacher, std::int64_t tokens,
                         const char* key) {
  const auto most = teacher.max_tokens();
  // One more: a server must be allowed to write a token.
  if (!most || tokens < *most) return;
  fail<ConfigError>(key, ": ", tokens, ", but the teacher's server takes ", *most,
                    " tokens with the one that it writes; use at most ", *most - 1,
                    ", or serve with more (vLLM: --max-model-len)");
}

}  // namespace distill::recipe

#include "text/split_patterns.h"

#include "text/unicode.h"

namespace distill::text::detail {
namespace {

bool is_newline(char c) {
  return c == '\r' || c == '\n';
}

bool is_mark_or_letter(CharClass kind) {
  return kind == CharClass::kLetter || kind == CharClass::kMark;
}

bool is_sign(CharClass kind) {
  return kind == CharClass::kPunctuation || kind == CharClass::kSymbol;
}

/// [^\s\p{L}\p{N}]
bool is_rest(CharClass kind) {
  return kind != CharClass::kSpace && kind != CharClass::kLetter && kind != CharClass::kNumber;
}

template <class Accept>
std::size_t run_end(std::string_view text, std::size_t at, Accept accept) {
  while (at < text.size()) {
    const ClassifiedChar next = classify(text, at);
    if (!accept(next.kind)) break;
    at += next.size;
  }
  return at;
}

template <CharClass kKind>
std::size_t run_of(std::string_view text, std::size_t at) {
  return run_end(text, at, [](CharClass kind) { return kind == kKind; });
}

std::size_t newlines_end(std::string_view text, std::size_t at) {
  while (at < text.size() && is_newline(text[at])) ++at;
  return at;
}

/// \s+(?!\S)|\s+ : a run of white space leaves its last character to the word after it.
std::size_t match_white_space(std::string_view text, std::size_t at) {
  std::size_t end = at;
  std::size_t last = at;
  while (end < text.size()) {
    const ClassifiedChar next = classify(text, end);
    if (next.kind != CharClass::kSpace) break;
    last = end;
    end += next.size;
  }
  return end == text.size() || last == at ? end : last;
}

/// \s*[\r\n]+|\s+(?!\S)|\s+
std::size_t match_lines_or_white_space(std::string_view text, std::size_t at) {
  std::size_t end = at;
  std::size_t after_newline = at;
  while (end < text.size()) {
    const ClassifiedChar next = classify(text, end);
    if (next.kind != CharClass::kSpace) break;
    end += next.size;
    if (is_newline(text[end - 1])) after_newline = end;
  }
  return after_newline > at ? after_newline : match_white_space(text, at);
}

/// 's|'t|'re|'ve|'m|'ll|'d after the apostrophe at `at`; without case also the long s (U+017F),
/// which folds to s.
std::size_t match_contraction(std::string_view text, std::size_t at, bool ignore_case) {
  const auto letter = [&](std::size_t i) {
    const char c = i < text.size() ? text[i] : '\0';
    return ignore_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  };
  const char first = letter(at + 1);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return at + 2;
  if (ignore_case && text.substr(at + 1).starts_with("\xC5\xBF")) return at + 3;
  const char second = letter(at + 2);
  const bool two_letters = (first == 'r' && second == 'e') || (first == 'v' && second == 'e') ||
                           (first == 'l' && second == 'l');
  return two_letters ? at + 3 : at;
}

std::size_t match_number(std::string_view text, std::size_t at, int max_digits) {
  for (int i = 0; i < max_digits && at < text.size(); ++i) {
    const ClassifiedChar next = classify(text, at);
    if (next.kind != CharClass::kNumber) break;
    at += next.size;
  }
  return at;
}

/// The pattern of Llama 3 (three digits) and Qwen 2 (one digit).
template <int kMaxDigits>
std::size_t match_words(std::string_view text, std::size_t at) {
  if (text[at] == '\'') {
    const std::size_t end = match_contraction(text, at, true);
    if (end > at) return end;
  }
  const ClassifiedChar first = classify(text, at);
  if (first.kind == CharClass::kLetter) return run_of<CharClass::kLetter>(text, at);
  if (first.kind == CharClass::kNumber) return match_number(text, at, kMaxDigits);
  if (!is_newline(text[at])) {
    const std::size_t end = run_of<CharClass::kLetter>(text, at + first.size);
    if (end > at + first.size) return end;
  }
  const std::size_t body = at + (text[at] == ' ' ? 1 : 0);
  const std::size_t end = run_end(text, body, is_rest);
  if (end > body) return newlines_end(text, end);
  return match_lines_or_white_space(text, at);
}

/// DeepSeek V3's first step.
std::size_t match_three_digits(std::string_view text, std::size_t at) {
  return match_number(text, at, 3);
}

/// DeepSeek V3's second step: CJK ideographs, Hiragana, Katakana.
std::size_t match_cjk(std::string_view text, std::size_t at) {
  while (at < text.size()) {
    const CodePoint next = code_point_at(text, at);
    const bool inside = (next.value >= 0x4E00 && next.value <= 0x9FA5) ||
                        (next.value >= 0x3040 && next.value <= 0x30FF);
    if (!inside) break;
    at += next.size;
  }
  return at;
}

bool is_ascii_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/// DeepSeek V3's third step. Digits and control characters are matched by nothing here.
std::size_t match_deepseek_words(std::string_view text, std::size_t at) {
  const ClassifiedChar first = classify(text, at);
  if (first.size == 1 && is_sign(first.kind)) {
    std::size_t end = at + 1;
    while (end < text.size() && is_ascii_letter(text[end])) ++end;
    if (end > at + 1) return end;
  }
  if (is_mark_or_letter(first.kind)) return run_end(text, at, is_mark_or_letter);
  if (!is_newline(text[at]) && !is_sign(first.kind)) {
    const std::size_t end = run_end(text, at + first.size, is_mark_or_letter);
    if (end > at + first.size) return end;
  }
  const std::size_t body = at + (text[at] == ' ' ? 1 : 0);
  const std::size_t end = run_end(text, body, is_sign);
  if (end > body) return newlines_end(text, end);
  return match_lines_or_white_space(text, at);
}

}  // namespace

std::size_t match_gpt2(std::string_view text, std::size_t at) {
  if (text[at] == '\'') {
    const std::size_t end = match_contraction(text, at, false);
    if (end > at) return end;
  }
  const std::size_t body = at + (text[at] == ' ' ? 1 : 0);
  if (body < text.size()) {
    switch (classify(text, body).kind) {
      case CharClass::kSpace:
        break;
      case CharClass::kLetter:
        return run_of<CharClass::kLetter>(text, body);
      case CharClass::kNumber:
        return run_of<CharClass::kNumber>(text, body);
      default:
        return run_end(text, body, is_rest);
    }
  }
  return match_white_space(text, at);
}

std::size_t match_digit(std::string_view text, std::size_t at) {
  const CodePoint next = code_point_at(text, at);
  return is_numeric(next.value) ? at + next.size : at;
}

std::size_t match_digits(std::string_view text, std::size_t at) {
  while (at < text.size()) {
    const std::size_t end = match_digit(text, at);
    if (end == at) break;
    at = end;
  }
  return at;
}

std::vector<KnownPattern> known_split_patterns() {
  const std::string words_head = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|)";
  const std::string words_tail = R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  return {
      {"GPT-2", R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)",
       match_gpt2},
      {"Qwen 2", words_head + R"(\p{N})" + words_tail, match_words<1>},
      {"Llama 3", words_head + R"(\p{N}{1,3})" + words_tail, match_words<3>},
      {"DeepSeek V3 digits", R"(\p{N}{1,3})", match_three_digits},
      {"DeepSeek V3 CJK",
       "[\xE4\xB8\x80-\xE9\xBE\xA5\xE3\x81\x80-\xE3\x82\x9F\xE3\x82\xA0-\xE3\x83\xBF]+", match_cjk},
      {"DeepSeek V3 words",
       R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|)"
       "[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|"
       "\\s*[\r\n]+|\\s+(?!\\S)|\\s+",
       match_deepseek_words},
  };
}

}  // namespace distill::text::detail

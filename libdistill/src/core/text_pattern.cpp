#include <distill/core/text_pattern.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <array>
#include <utility>

#include <distill/core/error.h>
#include <distill/core/strings.h>

namespace distill::core {

namespace {

/// Far beyond what a pattern for names of some hundred bytes needs.
constexpr std::uint32_t kMostSteps = 100'000;
/// Some tenths of a second.
constexpr std::uint32_t kMostStepsOfText = 10'000'000;
constexpr std::size_t kLongestPattern = 4096;

const unsigned char* bytes(const std::string& text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

}  // namespace

struct TextPattern::Compiled {
  std::string pattern, where;
  pcre2_code* code = nullptr;
  pcre2_match_context* limits = pcre2_match_context_create(nullptr);
  pcre2_match_data* match = nullptr;

  ~Compiled() {
    pcre2_match_data_free(match);
    pcre2_match_context_free(limits);
    pcre2_code_free(code);
  }
};

TextPattern::TextPattern(const std::string& pattern, Part part, std::string where)
    : compiled_(std::make_unique<Compiled>()) {
  compiled_->pattern = pattern;
  compiled_->where = std::move(where);
  if (pattern.size() > kLongestPattern) {
    fail<ConfigError>(compiled_->where, ": a pattern of ", pattern.size(), " bytes, at most ",
                      kLongestPattern, " are taken");
  }
  const std::string whole = part == Part::kEnd ? "(?:.*\\.)?(?:" + pattern + ")" : pattern;
  const std::uint32_t flags = part == Part::kInside ? PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE
                                                    : PCRE2_ANCHORED | PCRE2_ENDANCHORED;
  int error = 0;
  std::size_t place = 0;
  compiled_->code = pcre2_compile(bytes(whole), whole.size(), flags, &error, &place, nullptr);
  if (compiled_->code == nullptr) {
    std::array<unsigned char, 256> message{};
    pcre2_get_error_message(error, message.data(), message.size());
    fail<ConfigError>(compiled_->where, ": `", printable(pattern), "` is no regular expression: ",
                      reinterpret_cast<const char*>(message.data()));
  }
  pcre2_set_match_limit(compiled_->limits, part == Part::kInside ? kMostStepsOfText : kMostSteps);
  compiled_->match = pcre2_match_data_create_from_pattern(compiled_->code, nullptr);
}

TextPattern::~TextPattern() = default;
TextPattern::TextPattern(TextPattern&&) noexcept = default;
TextPattern& TextPattern::operator=(TextPattern&&) noexcept = default;

std::optional<bool> TextPattern::matches_in_time(const std::string& text) const {
  const int result = pcre2_match(compiled_->code, bytes(text), text.size(), 0, 0, compiled_->match,
                                 compiled_->limits);
  if (result >= 0) return true;
  if (result == PCRE2_ERROR_NOMATCH) return false;
  if (result != PCRE2_ERROR_MATCHLIMIT && result != PCRE2_ERROR_DEPTHLIMIT &&
      result != PCRE2_ERROR_HEAPLIMIT) {
    fail<ConfigError>(compiled_->where, ": `", printable(compiled_->pattern),
                      "` cannot be matched (PCRE2 error ", result, ")");
  }
  return std::nullopt;
}

bool TextPattern::matches(const std::string& text) const {
  if (const auto found = matches_in_time(text)) return *found;
  fail<ConfigError>(compiled_->where, ": `", printable(compiled_->pattern),
                    "` takes too long to match; write a simpler pattern");
}

}  // namespace distill::core

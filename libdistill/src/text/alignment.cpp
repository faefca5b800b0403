#include <distill/text/alignment.h>

#include <algorithm>
#include <utility>

#include <distill/core/error.h>
#include <distill/core/strings.h>

namespace distill::text {
namespace {

using Tokens = std::span<const AlignedToken>;

/// Tokens [begin, end) of a document.
struct Range {
  std::size_t begin = 0;
  std::size_t end = 0;
};

bool is_blank(char c) {
  return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

/// What a range without special tokens spells, and what of that is compared.
struct Spelled {
  Spelled(Tokens tokens, Range range) {
    for (std::size_t i = range.begin; i < range.end; ++i) text += tokens[i].bytes;
    last = text.size();
  }
  std::string_view compared() const { return std::string_view(text).substr(first, last - first); }
  void drop_leading_blanks() {
    while (first < last && is_blank(text[first])) ++first;
  }
  void drop_trailing_blanks() {
    while (last > first && is_blank(text[last - 1])) --last;
  }
  void keep_trailing_blanks() { last = text.size(); }

  std::string text;
  std::size_t first = 0;
  std::size_t last = 0;
};

enum class Likeness { kSame, kSameButEnd, kDifferent };

Likeness compare(Spelled& student, Spelled& teacher) {
  if (student.text == teacher.text) return Likeness::kSame;
  student.drop_leading_blanks();
  teacher.drop_leading_blanks();
  if (student.compared() == teacher.compared()) return Likeness::kSame;
  student.drop_trailing_blanks();
  teacher.drop_trailing_blanks();
  return student.compared() == teacher.compared() ? Likeness::kSameButEnd : Likeness::kDifferent;
}

/// `one` ends with a special token written `end`, which stands in `other` as text: what comes
/// before that is the same. Both may have lost the blanks around them.
bool ends_as_text(Spelled& one, std::string_view end, Spelled& other) {
  if (end.empty()) return false;
  one.keep_trailing_blanks();
  other.keep_trailing_blanks();
  const std::string_view before = one.compared();
  const std::string_view all = other.compared();
  if (!all.starts_with(before) || !all.substr(before.size()).starts_with(end)) return false;
  other.last = other.first + before.size();
  return true;
}

std::string shown_difference(const Spelled& student, const Spelled& teacher) {
  const std::string_view own = student.compared();
  const std::string_view other = teacher.compared();
  const auto [at, ignored] = std::mismatch(own.begin(), own.end(), other.begin(), other.end());
  const auto from = static_cast<std::size_t>(at - own.begin());
  constexpr std::size_t kBefore = 12;
  constexpr std::size_t kShown = 30;
  const std::size_t begin = from - std::min(from, kBefore);
  const auto piece = [begin](std::string_view text) {
    return core::printable(std::string(text.substr(begin, kShown)), kShown);
  };
  return core::concat("`", piece(own), "` where the teacher's has `", piece(other), "`");
}

/// Walks over the tokens of a range, keeping count of what they spell together.
class Walker {
 public:
  Walker(Tokens tokens, Range range, std::size_t first)
      : tokens_(tokens), at_(range.begin), end_(range.end), first_(first) {
    // Tokens of nothing but dropped blanks.
    while (at_ < end_ && first_ > 0 && spelled_ + tokens_[at_].bytes.size() <= first_) step();
  }
  bool done() const { return at_ == end_; }
  std::size_t at() const { return at_; }
  /// Bytes behind the dropped blanks, up to here.
  std::size_t spelled() const { return spelled_ - std::min(spelled_, first_); }
  void step() { spelled_ += tokens_[at_++].bytes.size(); }

 private:
  Tokens tokens_;
  std::size_t at_;
  std::size_t end_;
  std::size_t first_;
  std::size_t spelled_ = 0;
};

class Aligner {
 public:
  Aligner(Tokens student, Tokens teacher) : student_(student), teacher_(teacher) {}

  TokenAlignment run() {
    const bool plain = !has_special_inside(student_) && !has_special_inside(teacher_);
    if (plain && align_whole()) return std::move(result_);
    result_ = {};
    const std::vector<Range> own = target_runs(student_);
    const std::vector<Range> other = target_runs(teacher_);
    result_.runs = std::ssize(own);
    if (own.size() != other.size()) {
      result_.runs_left_out = result_.runs;
      result_.difference =
          core::concat(own.size(), " texts to learn where the teacher's has ", other.size());
      return std::move(result_);
    }
    for (std::size_t i = 0; i < own.size(); ++i) {
      if (!align_text(own[i], other[i])) ++result_.runs_left_out;
    }
    return std::move(result_);
  }

 private:
  static bool has_special_inside(Tokens tokens) {
    const auto is_text = [](const AlignedToken& token) { return !token.special; };
    const auto first = std::ranges::find_if(tokens, is_text);
    const auto last = std::find_if(tokens.rbegin(), tokens.rend(), is_text).base();
    return first < last && !std::all_of(first, last, is_text);
  }

  static std::vector<Range> target_runs(Tokens tokens) {
    std::vector<Range> runs;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      if (!tokens[i].target) continue;
      if (runs.empty() || runs.back().end != i) runs.push_back({i, i});
      runs.back().end = i + 1;
    }
    return runs;
  }

  bool align_whole() {
    result_.runs = 1;
    return align_text({0, student_.size()}, {0, teacher_.size()});
  }

  static std::size_t skip_special(Tokens tokens, Range range) {
    while (range.begin < range.end && tokens[range.begin].special) ++range.begin;
    return range.begin;
  }
  static std::size_t part_end(Tokens tokens, Range range) {
    while (range.begin < range.end && !tokens[range.begin].special) ++range.begin;
    return range.begin;
  }

  /// Part by part between special tokens. False where the texts differ; what is before is kept.
  bool align_text(Range student, Range teacher) {
    student.begin = skip_special(student_, student);
    teacher.begin = skip_special(teacher_, teacher);
    while (true) {
      const Range own{student.begin, part_end(student_, student)};
      const Range other{teacher.begin, part_end(teacher_, teacher)};
      const Likeness likeness = align_part(own, other, ending(student_, own.end, student.end),
                                           ending(teacher_, other.end, teacher.end));
      if (likeness == Likeness::kDifferent) return false;
      if (own.end == student.end || other.end == teacher.end) return true;
      if (likeness == Likeness::kSameButEnd) return true;
      add_chunk({own.end, own.end + 1}, {other.end, other.end + 1});
      student.begin = own.end + 1;
      teacher.begin = other.end + 1;
    }
  }

  /// How the special token behind a part is written; nothing at the end of a text.
  static std::string_view ending(Tokens tokens, std::size_t at, std::size_t end) {
    return at < end ? tokens[at].bytes : std::string_view();
  }

  Likeness align_part(Range own, Range other, std::string_view own_end,
                      std::string_view other_end) {
    Spelled student(student_, own);
    Spelled teacher(teacher_, other);
    Likeness likeness = compare(student, teacher);
    if (likeness == Likeness::kDifferent &&
        (ends_as_text(student, own_end, teacher) || ends_as_text(teacher, other_end, student))) {
      likeness = Likeness::kSameButEnd;
    }
    if (likeness == Likeness::kDifferent) {
      if (result_.difference.empty()) result_.difference = shown_difference(student, teacher);
      return likeness;
    }
    const std::size_t shared = student.compared().size();
    Walker s(student_, own, student.first);
    Walker t(teacher_, other, teacher.first);
    while (!s.done() && !t.done()) {
      const std::size_t own_begin = s.at();
      const std::size_t other_begin = t.at();
      s.step();
      t.step();
      while (s.spelled() != t.spelled()) {
        Walker& behind = s.spelled() < t.spelled() ? s : t;
        if (behind.done()) return likeness;
        behind.step();
      }
      if (s.spelled() > shared) return likeness;
      add_chunk({own_begin, s.at()}, {other_begin, t.at()});
    }
    return likeness;
  }

  void add_chunk(Range own, Range other) {
    const auto tokens = student_.subspan(own.begin, own.end - own.begin);
    const bool target =
        std::ranges::all_of(tokens, [](const AlignedToken& token) { return token.target; });
    result_.chunks.push_back(
        {static_cast<std::int64_t>(own.begin), static_cast<std::int64_t>(own.end),
         static_cast<std::int64_t>(other.begin), static_cast<std::int64_t>(other.end), target});
  }

  Tokens student_;
  Tokens teacher_;
  TokenAlignment result_;
};

}  // namespace

TokenAlignment align_tokens(Tokens student, Tokens teacher) {
  return Aligner(student, teacher).run();
}

TokenSpellings::TokenSpellings(const Tokenizer& tokenizer) {
  spellings_.resize(static_cast<std::size_t>(tokenizer.vocab_size()));
  for (std::size_t i = 0; i < spellings_.size(); ++i) {
    const auto id = static_cast<std::int64_t>(i);
    try {
      const std::string bytes = tokenizer.token_bytes(id);
      spellings_[i] = {bytes_.size(), static_cast<std::uint32_t>(bytes.size()),
                       tokenizer.is_special(id)};
      bytes_ += bytes;
    } catch (const InputError&) {
      // A number that is no token.
    }
  }
}

AlignedToken TokenSpellings::at(std::int64_t id, bool target) const {
  if (id < 0 || id >= std::ssize(spellings_)) return {{}, true, target};
  const Spelling& spelling = spellings_[static_cast<std::size_t>(id)];
  return {std::string_view(bytes_).substr(spelling.begin, spelling.size), spelling.special, target};
}

}  // namespace distill::text

#include "data/teacher_side.h"

#include <algorithm>
#include <utility>

#include <distill/core/error.h>
#include <distill/core/strings.h>

namespace distill::data {

namespace {

std::vector<text::AlignedToken> as_tokens(std::span<const Word> words,
                                          const text::TokenSpellings& spellings) {
  std::vector<text::AlignedToken> tokens;
  tokens.reserve(words.size());
  for (const Word word : words) {
    tokens.push_back(spellings.at(id_of(word), (word & kTargetBit) != 0));
  }
  return tokens;
}

/// What a tokenizer puts before every text; -1: nothing. The special token that a template begins
/// with is none: in the middle of a document it would begin a turn.
std::int64_t start_of_text(const text::Tokenizer& tokenizer) {
  const text::TokenIds ids = tokenizer.encode("a", /*add_special=*/true);
  return !ids.empty() && tokenizer.is_special(ids.front()) ? ids.front() : -1;
}

/// Where the teacher begins to read for a piece that begins at token `begin` of the student's: the
/// last place at or before that where both tokenizers have a border. What lies between a border
/// and the piece is read by the teacher alone: a prompt, or the start of a word.
std::int64_t teacher_begin(const text::TokenAlignment& alignment, std::int64_t begin) {
  if (begin == 0) return 0;
  const auto after =
      std::ranges::upper_bound(alignment.chunks, begin, {}, &text::TokenChunk::student_begin);
  return after == alignment.chunks.begin() ? 0 : std::prev(after)->teacher_begin;
}

}  // namespace

/// A document of both, and where a piece of the student's lies in it.
struct TeacherSide::Document {
  std::span<const Word> student;
  std::span<const Word> teacher;
  std::int64_t begin = 0;  ///< of the piece, in the student's tokens
  std::int64_t end = 0;
  std::pair<std::int32_t, std::size_t> id;  ///< file and number
};

TeacherSide::TeacherSide(const TokenFiles& student, TokenFiles teacher,
                         const text::Tokenizer& tokenizer, const TeacherReading& reading,
                         const std::vector<FileReport>& reports)
    : student_(student),
      teacher_(std::move(teacher)),
      student_spellings_(tokenizer),
      teacher_spellings_(reading.tokenizer),
      max_positions_(reading.max_positions),
      vocabulary_(reading.tokenizer.vocab_size()),
      start_(start_of_text(reading.tokenizer)) {
  for (std::size_t i = 0; i < student_.size(); ++i) {
    const std::size_t own = student_[i]->documents.size();
    const std::size_t other = teacher_[i]->documents.size();
    if (own == other) continue;
    fail<FormatError>(reports[i].path, ": gives ", own, " documents for the student and ", other,
                      " for the teacher, expected as many, since a row was skipped for one of them "
                      "only; take that row out (`data.on_bad_sample: error` names it)");
  }
}

TeacherSide::Document TeacherSide::document_of(const Span& piece) const {
  const auto file = static_cast<std::size_t>(piece.file);
  const TokenFile& own = *student_[file];
  const std::size_t number = own.document_at(static_cast<std::uint64_t>(piece.begin));
  const auto words = [number](const TokenFile& tokens) {
    return tokens.words.subspan(static_cast<std::size_t>(tokens.begin_of(number)),
                                static_cast<std::size_t>(tokens.length_of(number)));
  };
  const std::int64_t in_document = piece.begin - static_cast<std::int64_t>(own.begin_of(number));
  return {words(own),
          words(*teacher_[file]),
          in_document,
          in_document + piece.length,
          {piece.file, number}};
}

std::shared_ptr<const text::TokenAlignment> TeacherSide::alignment_of(
    const Document& document) const {
  {
    const std::lock_guard lock(mutex_);
    if (last_ != nullptr && last_id_ == document.id) return last_;
  }
  auto alignment = std::make_shared<const text::TokenAlignment>(
      text::align_tokens(as_tokens(document.student, student_spellings_),
                         as_tokens(document.teacher, teacher_spellings_)));
  const std::lock_guard lock(mutex_);
  last_id_ = document.id;
  last_ = alignment;
  return alignment;
}

void TeacherSide::add_piece(const Span& piece, std::int64_t row_begin, TeacherRow& row) const {
  const Document document = document_of(piece);
  const auto found = alignment_of(document);
  const text::TokenAlignment& alignment = *found;
  row.runs += alignment.runs;
  row.runs_left_out += alignment.runs_left_out;
  if (row.difference.empty()) row.difference = alignment.difference;
  const std::int64_t first = teacher_begin(alignment, document.begin);
  // A teacher that knows where a document begins is told so in its middle too.
  const bool with_start = first > 0 && id_of(document.teacher.front()) == start_;
  const std::int64_t shift = std::ssize(row.ids) + (with_start ? 1 : 0) - first;
  const std::int64_t most = max_positions_ - (with_start ? 1 : 0);
  std::int64_t last = first;
  for (const text::TokenChunk& chunk : alignment.chunks) {
    // The first token of an input is predicted by none.
    const bool predicted = chunk.student_begin > document.begin && chunk.teacher_begin > first;
    if (!chunk.target || !predicted || chunk.student_end > document.end) continue;
    if (chunk.teacher_end - first > most) break;
    row.chunks.push_back({chunk.student_begin - document.begin + row_begin,
                          chunk.student_end - document.begin + row_begin,
                          chunk.teacher_begin + shift, chunk.teacher_end + shift, true});
    last = chunk.teacher_end;
  }
  if (last == first) return;
  if (with_start) row.ids.push_back(id_of(document.teacher.front()));
  for (std::int64_t i = first; i < last; ++i) {
    row.ids.push_back(id_of(document.teacher[static_cast<std::size_t>(i)]));
  }
  row.segments.push_back(std::ssize(row.ids));
}

TeacherRow TeacherSide::row(std::span<const Span> pieces) const {
  TeacherRow row;
  row.segments.push_back(0);
  row.vocabulary = vocabulary_;
  std::int64_t begin = 0;
  for (const Span& piece : pieces) {
    add_piece(piece, begin, row);
    begin += piece.length;
  }
  return row;
}

}  // namespace distill::data

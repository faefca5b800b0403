#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include <distill/data/dataset.h>
#include <distill/data/row_reading.h>
#include <distill/text/alignment.h>

#include "data/token_file.h"

namespace distill::data {

/// The same files in the tokens of a teacher with another tokenizer, document for document. Safe to
/// use from several threads.
class TeacherSide {
 public:
  /// `student` are the tokens of the student's files, `teacher` those of the same files for the
  /// teacher. Throws FormatError naming the file where they do not hold as many documents.
  TeacherSide(const TokenFiles& student, TokenFiles teacher, const text::Tokenizer& tokenizer,
              const TeacherReading& reading, const std::vector<FileReport>& reports);

  const TokenFiles& files() const { return teacher_; }

  /// What the teacher reads for these pieces of the student's documents, which lie end to end.
  TeacherRow row(std::span<const Span> pieces) const;

 private:
  struct Document;
  Document document_of(const Span& piece) const;
  std::shared_ptr<const text::TokenAlignment> alignment_of(const Document& document) const;
  void add_piece(const Span& piece, std::int64_t row_begin, TeacherRow& row) const;

  TokenFiles student_;
  TokenFiles teacher_;
  text::TokenSpellings student_spellings_;
  text::TokenSpellings teacher_spellings_;
  std::int64_t max_positions_;
  std::int64_t vocabulary_;
  std::int64_t start_;  ///< what the teacher's tokenizer puts before a text; -1: nothing

  /// Of the last document: pieces of a very long one would align all of it each time.
  mutable std::mutex mutex_;
  mutable std::pair<std::int32_t, std::size_t> last_id_ = {-1, 0};  ///< file and number
  mutable std::shared_ptr<const text::TokenAlignment> last_;
};

}  // namespace distill::data

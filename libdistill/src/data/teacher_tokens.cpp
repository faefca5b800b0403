#include "data/teacher_tokens.h"

#include <algorithm>

#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>

#include <distill/core/error.h>

namespace distill::data {

namespace {

/// Chunks give their number to the rows that predict their tokens.
void check(const Row& row) {
  if (!row.teacher) {
    fail<InputError>("a row without a teacher's tokens stands beside rows with them");
  }
  const TeacherRow& teacher = *row.teacher;
  const bool ends_fit = !teacher.segments.empty() && teacher.segments.front() == 0 &&
                        teacher.segments.back() == std::ssize(teacher.ids);
  std::int64_t own = 1;
  std::int64_t other = 1;
  bool inside = ends_fit;
  for (const text::TokenChunk& chunk : teacher.chunks) {
    inside = inside && chunk.student_begin >= own && chunk.student_end > chunk.student_begin &&
             chunk.teacher_begin >= other && chunk.teacher_end > chunk.teacher_begin;
    own = chunk.student_end;
    other = chunk.teacher_end;
  }
  if (inside && own <= std::max<std::int64_t>(std::ssize(row.ids), 1) &&
      other <= std::max<std::int64_t>(std::ssize(teacher.ids), 1)) {
    return;
  }
  fail<InputError>("a row's chunks must rise within its ", row.ids.size(), " ids and the ",
                   teacher.ids.size(), " of the teacher, and leave out the first of each");
}

class Writer {
 public:
  Writer(const std::vector<Row>& rows, std::int64_t num_tokens) {
    std::int64_t length = 0;
    std::int64_t chunks = 0;
    for (const Row& row : rows) {
      check(row);
      length += std::ssize(row.teacher->ids);
      chunks += std::ssize(row.teacher->chunks);
    }
    tokens_.input.input_ids = at::empty({length}, at::kLong);
    tokens_.input.position_ids = at::empty({length}, at::kLong);
    tokens_.input.segments.push_back(0);
    tokens_.labels = at::zeros({length}, at::kLong);
    tokens_.chunk_of_row = at::full({length}, -1, at::kLong);
    tokens_.student_chunks = at::full({num_tokens}, -1, at::kLong);
    tokens_.first_rows = at::empty({chunks}, at::kLong);
    tokens_.student_first = at::empty({chunks}, at::kLong);
    tokens_.vocabulary = rows.front().teacher->vocabulary;
  }

  void add(const Row& row) {
    const TeacherRow& teacher = *row.teacher;
    for (std::size_t s = 0; s + 1 < teacher.segments.size(); ++s) add_segment(teacher, s);
    for (const text::TokenChunk& chunk : teacher.chunks) {
      fill(tokens_.student_chunks, chunk.student_begin + own_, chunk.student_end + own_);
      fill(tokens_.chunk_of_row, chunk.teacher_begin + other_, chunk.teacher_end + other_);
      data(tokens_.student_first)[chunk_] = chunk.student_begin + own_ - 1;
      data(tokens_.first_rows)[chunk_] = chunk.teacher_begin + other_ - 1;
      ++chunk_;
    }
    own_ += std::ssize(row.ids);
    other_ += std::ssize(teacher.ids);
  }

  types::TeacherTokens take() { return std::move(tokens_); }

 private:
  static std::int64_t* data(const at::Tensor& x) { return x.data_ptr<std::int64_t>(); }

  void add_segment(const TeacherRow& row, std::size_t segment) {
    const std::int64_t begin = row.segments[segment];
    const std::int64_t end = row.segments[segment + 1];
    for (std::int64_t t = begin; t < end; ++t) {
      const std::int64_t at = other_ + t;
      data(tokens_.input.input_ids)[at] = row.ids[static_cast<std::size_t>(t)];
      data(tokens_.input.position_ids)[at] = t - begin;
      if (t + 1 < end) data(tokens_.labels)[at] = row.ids[static_cast<std::size_t>(t) + 1];
    }
    tokens_.input.segments.push_back(other_ + end);
  }

  /// Token t is predicted by row t - 1.
  void fill(const at::Tensor& chunk_of_row, std::int64_t begin, std::int64_t end) const {
    std::fill(data(chunk_of_row) + begin - 1, data(chunk_of_row) + end - 1, chunk_);
  }

  types::TeacherTokens tokens_;
  std::int64_t own_ = 0;    // the student's tokens so far
  std::int64_t other_ = 0;  // and the teacher's
  std::int64_t chunk_ = 0;
};

}  // namespace

std::shared_ptr<const types::TeacherTokens> teacher_tokens(const std::vector<Row>& rows,
                                                           std::int64_t num_tokens) {
  if (rows.empty() || !rows.front().teacher) return nullptr;
  Writer writer(rows, num_tokens);
  for (const Row& row : rows) writer.add(row);
  return std::make_shared<const types::TeacherTokens>(writer.take());
}

}  // namespace distill::data

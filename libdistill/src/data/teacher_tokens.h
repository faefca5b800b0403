#pragma once

#include <memory>
#include <vector>

#include <distill/data/dataset.h>
#include <distill/types/teacher_tokens.h>

namespace distill::data {

/// What the teacher reads for these rows side by side, `num_tokens` of the student's; null when the
/// first row carries none. Throws InputError for rows of both sorts, or chunks outside of a row.
std::shared_ptr<const types::TeacherTokens> teacher_tokens(const std::vector<Row>& rows,
                                                           std::int64_t num_tokens);

}  // namespace distill::data

#pragma once

#include <memory>

#include <distill/teachers/server_teacher.h>

namespace distill::teachers {

/// A model that a server holds and whose tokenizer is another one than the student's. It is sent
/// the batch's text in its own tokens (types::Batch::teacher_tokens) and answers with
/// types::AlignedChunks: the log-probability of each chunk, which is all that `alm` needs, and no
/// hidden states. `server` must be one of ServerTeacherOptions::own_tokens.
/// `signal` throws TeacherError for a batch without such tokens, and as ServerTeacher.
std::unique_ptr<Teacher> make_chunk_server_teacher(std::unique_ptr<ServerTeacher> server);

}  // namespace distill::teachers

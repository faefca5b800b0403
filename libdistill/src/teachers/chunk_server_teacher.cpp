#include <distill/teachers/chunk_server_teacher.h>

#include <utility>

#include <ATen/TensorOperators.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/nonzero.h>
#include <ATen/ops/zeros.h>

#include <distill/core/error.h>
#include <distill/types/teacher_tokens.h>

namespace distill::teachers {

namespace {

/// The sum over the rows of each chunk, fp64 [C].
at::Tensor chunk_log_probs(const at::Tensor& of_rows, const types::TeacherTokens& tokens) {
  const at::Tensor rows = at::nonzero(tokens.chunk_of_row >= 0).squeeze(1);
  return at::zeros({tokens.num_chunks()}, of_rows.options())
      .index_add(0, at::index_select(tokens.chunk_of_row, 0, rows),
                 at::index_select(of_rows, 0, rows));
}

class ChunkServerTeacher final : public Teacher {
 public:
  explicit ChunkServerTeacher(std::unique_ptr<ServerTeacher> server) : server_(std::move(server)) {}

  types::TeacherSignal signal(const types::Batch& batch) override {
    const auto& tokens = batch.teacher_tokens;
    if (tokens == nullptr) {
      fail<TeacherError>(describe(), ": the batch holds no text in the teacher's own tokens");
    }
    at::Tensor log_probs;
    if (tokens->num_chunks() == 0) {  // nothing to ask
      log_probs = at::zeros({0}, tokens->labels.options().dtype(at::kDouble));
    } else {
      const auto rows = std::get<types::TopKLogProbs>(server_->signal(as_batch(*tokens)));
      log_probs = chunk_log_probs(rows.log_probs.squeeze(1).to(at::kDouble), *tokens);
    }
    return types::AlignedChunks{tokens, std::nullopt, std::move(log_probs)};
  }

  void announce(const types::Batch& batch) override {
    const auto& tokens = batch.teacher_tokens;
    if (tokens != nullptr && tokens->num_chunks() > 0) server_->announce(as_batch(*tokens));
  }

  std::optional<std::string> likeness() const override { return server_->likeness(); }
  void require_likeness(const std::string& kept) override { server_->require_likeness(kept); }
  std::optional<TeacherCounts> counts() const override { return server_->counts(); }
  std::vector<std::string> summary() const override { return server_->summary(); }
  std::string describe() const override { return server_->describe(); }

 private:
  /// As a teacher of the same tokenizer sees it: the predictions of chunks are what counts.
  static types::Batch as_batch(const types::TeacherTokens& tokens) {
    types::Batch batch;
    batch.input = tokens.input;
    batch.labels = tokens.labels;
    batch.loss_mask = tokens.chunk_of_row >= 0;
    return batch;
  }

  std::unique_ptr<ServerTeacher> server_;
};

}  // namespace

std::unique_ptr<Teacher> make_chunk_server_teacher(std::unique_ptr<ServerTeacher> server) {
  return std::make_unique<ChunkServerTeacher>(std::move(server));
}

}  // namespace distill::teachers

#include <distill/types/batch.h>

#include <initializer_list>

#include <distill/types/teacher_tokens.h>

namespace distill::types {

namespace {

void move(std::initializer_list<at::Tensor*> tensors, at::Device device) {
  const bool pins = device.is_cuda();
  for (at::Tensor* x : tensors) {
    if (!x->defined() || x->device() == device) continue;
    *x = pins && x->is_cpu() ? x->pin_memory().to(device, x->scalar_type(), /*non_blocking=*/true)
                             : x->to(device);
  }
}

}  // namespace

TeacherTokens moved_to(const TeacherTokens& tokens, at::Device device) {
  TeacherTokens moved = tokens;
  move({&moved.input.input_ids, &moved.input.position_ids, &moved.labels, &moved.chunk_of_row,
        &moved.student_chunks, &moved.first_rows, &moved.student_first},
       device);
  return moved;
}

Batch moved_to(const Batch& batch, at::Device device) {
  Batch moved = batch;
  move({&moved.input.input_ids, &moved.input.position_ids, &moved.labels, &moved.loss_mask},
       device);
  if (batch.teacher_tokens != nullptr) {
    moved.teacher_tokens =
        std::make_shared<const TeacherTokens>(moved_to(*batch.teacher_tokens, device));
  }
  return moved;
}

}  // namespace distill::types

#include <distill/types/batch.h>

namespace distill::types {

Batch moved_to(const Batch& batch, at::Device device) {
  Batch moved = batch;
  const bool pins = device.is_cuda();
  for (at::Tensor* x :
       {&moved.input.input_ids, &moved.input.position_ids, &moved.labels, &moved.loss_mask}) {
    if (!x->defined() || x->device() == device) continue;
    *x = pins && x->is_cpu() ? x->pin_memory().to(device, x->scalar_type(), /*non_blocking=*/true)
                             : x->to(device);
  }
  return moved;
}

}  // namespace distill::types

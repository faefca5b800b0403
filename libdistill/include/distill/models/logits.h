#pragma once

#include <ATen/core/Tensor.h>

#include <distill/types/model_output.h>

namespace distill::models {

/// fp32 logits [rows, V] of the given rows of `hidden`, the model's scale and softcap applied (fp64
/// for a model in fp64): bf16 inputs are multiplied with fp32 accumulation and the result is not
/// rounded to bf16.
at::Tensor logits(const types::ModelOutput& output, const at::Tensor& hidden_rows);

}  // namespace distill::models

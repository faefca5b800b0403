#pragma once

#include <memory>
#include <string>

#include <distill/models/causal_lm.h>
#include <distill/teachers/teacher.h>

namespace distill::teachers {

/// A model in this process, run without a graph. Gives hidden states and head, so that the fused
/// loss never forms its logits as a whole.
std::unique_ptr<Teacher> make_local_teacher(std::shared_ptr<models::CausalLm> model,
                                            std::string name);

}  // namespace distill::teachers

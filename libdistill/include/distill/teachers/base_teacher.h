#pragma once

#include <memory>

#include <distill/models/causal_lm.h>
#include <distill/teachers/teacher.h>

namespace distill::teachers {

/// The base of a student with adapters: the same weights with the adapters turned off, so that
/// there is no second copy. To be called on the thread that trains. Throws ConfigError for a model
/// without adapters.
std::unique_ptr<Teacher> make_base_teacher(std::shared_ptr<models::CausalLm> student);

}  // namespace distill::teachers

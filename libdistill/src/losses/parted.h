#pragma once

#include <functional>

#include <distill/losses/loss.h>

namespace distill::losses {

/// The sum of `loss` over the parts of a signal of several teachers: each with the student's rows
/// that it speaks of, and its weight. Throws TeacherError where inner layers are compared.
types::LossValue sum_over_parts(const LossInput& input, const types::PartedSignal& signal,
                                const std::function<types::LossValue(const LossInput&)>& loss);

}  // namespace distill::losses

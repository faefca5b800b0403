#pragma once

#include <cstdint>
#include <vector>

namespace distill::ops::cpu {

/// The largest x such that the entries >= x of `log_probs` hold at least `mass` of the probability
/// (less when rounding leaves them short of it): the head of a distribution. Reorders its argument;
/// empty: 0.
template <class T>
T head_threshold(std::vector<T>& log_probs, double mass);

}  // namespace distill::ops::cpu

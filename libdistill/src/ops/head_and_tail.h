#pragma once

#include <vector>

namespace distill::ops::cpu {

/// The head of a distribution: its likeliest entries that together reach `mass`, entries as likely
/// as the last of them included. Returns the probability of the least likely one (of all entries
/// when rounding leaves their sum short of `mass`; 1 for none). Reorders its argument.
template <class T>
T least_of_head(std::vector<T>& probabilities, double mass);

}  // namespace distill::ops::cpu

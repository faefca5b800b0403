#pragma once

#include <vector>

namespace distill::ops::cpu {

/// The head of a distribution: its likeliest entries that together reach `mass`, entries as likely
/// as the last of them included. Returns the probability of the least likely one (of all entries
/// when rounding leaves their sum short of `mass`; 1 for none). Reorders its argument.
template <class T>
T least_of_head(std::vector<T>& probabilities, double mass);

/// How logits become log-probabilities: (x - maximum) * inverse_temperature - log_sum.
template <class T>
struct Softmax {
  T maximum, log_sum, inverse_temperature;
};

/// The log-probability at which the head of a row of logits begins, a little less to be safe from
/// rounding: the id at the threshold belongs to the head.
template <class T>
T head_threshold(const std::vector<T>& logits, const Softmax<T>& softmax, double mass);

}  // namespace distill::ops::cpu

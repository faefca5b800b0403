#pragma once

#include <cstdint>
#include <vector>

#include <distill/core/describe.h>

namespace distill::losses {

/// A layer of the student and the one of the teacher it learns from, both from 0.
struct LayerPair {
  std::int64_t student = 0;
  std::int64_t teacher = 0;
  bool operator==(const LayerPair&) const = default;
};
void describe(core::FieldVisitor& visit, LayerPair& pair);
void validate(const LayerPair& pair, core::Problems& problems);

/// Every layer of the model with fewer, evenly spaced over the other's, last to last: of n pairs
/// the m-th (from 1) joins the layers round(m L / n) - 1 of each model with L layers, halves up.
/// Two layers against four: 0 -> 1, 1 -> 3. Both counts are at least 1.
std::vector<LayerPair> evenly_spaced_pairs(std::int64_t student_layers,
                                           std::int64_t teacher_layers);

}  // namespace distill::losses

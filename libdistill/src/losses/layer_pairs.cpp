#include <distill/losses/layer_pairs.h>

#include <algorithm>

#include <distill/core/strings.h>

namespace distill::losses {

void describe(core::FieldVisitor& visit, LayerPair& pair) {
  visit.required("student", pair.student, "the student's layer, from 0");
  visit.required("teacher", pair.teacher, "the teacher's layer it learns from, from 0");
}

void validate(const LayerPair& pair, core::Problems& problems) {
  const auto check = [&problems](const char* field, std::int64_t layer) {
    if (layer < 0) problems.add(field, core::concat("must not be negative, is ", layer));
  };
  check("student", pair.student);
  check("teacher", pair.teacher);
}

std::vector<LayerPair> evenly_spaced_pairs(std::int64_t student_layers,
                                           std::int64_t teacher_layers) {
  const std::int64_t count = std::min(student_layers, teacher_layers);
  const auto place = [count](std::int64_t m, std::int64_t layers) {
    return (2 * m * layers + count) / (2 * count) - 1;
  };
  std::vector<LayerPair> pairs;
  for (std::int64_t m = 1; m <= count; ++m) {
    pairs.push_back({place(m, student_layers), place(m, teacher_layers)});
  }
  return pairs;
}

}  // namespace distill::losses

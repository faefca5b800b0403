#include <distill/teachers/teacher.h>

#include <distill/core/error.h>

namespace distill::teachers {

SignalWithLayers Teacher::signal_with_layers(const types::Batch& batch,
                                             const types::LayerRequest& wanted) {
  if (wanted.empty()) return {signal(batch), {}};
  fail<TeacherError>("teacher `", describe(),
                     "` shows no inner layers, and the loss compares them");
}

void Teacher::require_likeness(const std::string& kept) {
  if (likeness() == kept) return;
  fail<TeacherError>("teacher `", describe(), "`: it is not the one that the run began with");
}

}  // namespace distill::teachers

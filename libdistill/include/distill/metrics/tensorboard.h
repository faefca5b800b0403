#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>

#include <distill/metrics/sink.h>

namespace distill::metrics {

/// Event files that TensorBoard opens, in `folder`, which is made where it is missing. Every call
/// begins a file behind those that are there, and tells TensorBoard to forget what they say of
/// steps after `last_step`: a resumed run repeats those.
///
/// Numbers of a step are written as `train/NAME`, of an evaluation as `eval/NAME`, of one of a
/// named set as `eval/SET/NAME` and of its teacher as `teacher/SET/NAME`, of another event as
/// `EVENT/NAME`; texts are left out. Each step and event is one write, so that a killed process
/// loses none that metrics.jsonl has; a record cut short is where TensorBoard stops reading a file.
/// Throws IoError naming the file.
std::unique_ptr<Sink> make_tensorboard_sink(const std::filesystem::path& folder,
                                            std::int64_t last_step);

}  // namespace distill::metrics

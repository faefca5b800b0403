#pragma once

#include <memory>

#include <distill/io/logit_cache.h>
#include <distill/teachers/teacher.h>

namespace distill::teachers {

/// What a teacher said when its answers were captured, found by the content of each segment: order,
/// packing, batch size and ranks do not matter. Announced batches are read and decoded by the
/// thread that announces them, so that a step never waits for the disk. Signals lie where the batch
/// does. `signal` and `announce` throw TeacherError for a segment that is not in the cache and
/// FormatError where the cache is damaged.
std::unique_ptr<Teacher> make_cache_teacher(std::shared_ptr<const io::LogitCache> cache);

}  // namespace distill::teachers

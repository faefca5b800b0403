#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <distill/data/dataset.h>
#include <distill/io/logit_cache.h>
#include <distill/recipe/wiring.h>
#include <distill/types/segment_key.h>

/// Recipes whose teacher is a cache: what is captured for them, and whether a cache fits.
namespace distill::recipe {

/// Null: the teacher is of another kind.
const CacheTeacherOptions* cache_teacher(const Recipe& recipe);

/// What `distill cache` reads for a recipe: its student's tokenizer and the teacher itself. Throws
/// ConfigError where the recipe does not say what to capture, and as plan_models.
PlannedModels plan_capture(const Recipe& recipe);

/// What decides the bytes of the recipe's cache. `head_hash`: of the head that goes with hidden
/// states; empty for other forms.
io::LogitCacheSpec cache_spec(const Recipe& recipe, const PlannedModels& models,
                              const DataParts& data, const std::string& head_hash);

/// Throws ConfigError where the cache is not what the recipe asks for, or does not serve its loss.
void require_usable(const Recipe& recipe, const io::LogitCacheInfo& cache);

/// Whether it was made with these ids, and by the recipe's teacher where that is there.
std::vector<Check> check_cache(const Recipe& recipe, const PlannedModels& models,
                               const text::Tokenizer& tokenizer);

/// Whether everything that will be asked of the cache is in it; goes once over the data.
std::vector<Check> check_coverage(const Recipe& recipe, const DataParts& data,
                                  const std::function<void()>& between_rows);

/// `take` is given each segment of a dataset that has something to learn, in order: its row, its
/// place among the segments of the row, and its key.
struct SegmentPlace {
  std::int64_t row = 0;
  std::size_t segment = 0;
  std::int64_t tokens = 0;
  types::SegmentKey key;
};
void for_each_segment(const data::Dataset& dataset,
                      const std::function<void(const SegmentPlace&)>& take);

}  // namespace distill::recipe

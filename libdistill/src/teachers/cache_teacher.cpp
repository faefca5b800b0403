#include <distill/teachers/cache_teacher.h>

#include <utility>

#include <distill/core/paths.h>
#include <distill/core/strings.h>
#include <distill/teachers/announced.h>

#include "teachers/cache_signal.h"

namespace distill::teachers {

namespace {

types::TeacherSignal moved_to(types::TeacherSignal signal, at::Device device) {
  if (auto* top = std::get_if<types::TopKLogProbs>(&signal)) {
    top->ids = top->ids.to(device);
    top->log_probs = top->log_probs.to(device);
  } else if (auto* sampled = std::get_if<types::SampledLogProbs>(&signal)) {
    sampled->ids = sampled->ids.to(device);
    sampled->weights = sampled->weights.to(device);
    sampled->log_probs = sampled->log_probs.to(device);
  }
  return signal;
}

class CacheTeacher final : public Teacher {
 public:
  explicit CacheTeacher(std::shared_ptr<const io::LogitCache> cache) : cache_(std::move(cache)) {}

  void announce(const types::Batch& batch) override {
    auto keys = types::segment_keys(batch);
    auto signal = read_signal(*cache_, batch, keys);
    announced_.add(std::move(keys), std::move(signal));
  }

  types::TeacherSignal signal(const types::Batch& batch) override {
    const auto keys = types::segment_keys(batch);
    auto ready = announced_.take(keys);
    return moved_to(ready ? std::move(*ready) : read_signal(*cache_, batch, keys),
                    batch.input.input_ids.device());
  }

  std::string describe() const override {
    const io::LogitCacheInfo& info = cache_->info();
    const bool top = info.spec.form == io::SignalForm::kTopK;
    return core::concat("cache ", core::shown(info.folder), top ? " (top " : " (samples, ",
                        info.spec.size, top ? " of " : " draws of ", info.spec.fact("teacher"),
                        ", ", core::with_thousands(info.segments), " segments)");
  }

 private:
  std::shared_ptr<const io::LogitCache> cache_;
  Announced<types::TeacherSignal> announced_;
};

}  // namespace

std::unique_ptr<Teacher> make_cache_teacher(std::shared_ptr<const io::LogitCache> cache) {
  return std::make_unique<CacheTeacher>(std::move(cache));
}

}  // namespace distill::teachers

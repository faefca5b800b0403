#include <distill/teachers/cache_teacher.h>

#include <utility>

#include <distill/core/paths.h>
#include <distill/core/strings.h>
#include <distill/teachers/announced.h>
#include <distill/teachers/cache_head.h>

#include "teachers/cache_signal.h"

namespace distill::teachers {

namespace {

std::string form_text(const io::LogitCacheSpec& spec) {
  switch (spec.form) {
    case io::SignalForm::kTopK:
      return core::concat("top ", spec.size, " of ");
    case io::SignalForm::kSampled:
      return core::concat("samples, ", spec.size, " draws of ");
    case io::SignalForm::kHidden:
      return "hidden states of ";
  }
  return "";
}

types::TeacherSignal moved_to(types::TeacherSignal signal, at::Device device) {
  if (auto* hidden = std::get_if<types::DenseHidden>(&signal)) {
    hidden->hidden = hidden->hidden.to(device);
  } else if (auto* top = std::get_if<types::TopKLogProbs>(&signal)) {
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
  explicit CacheTeacher(std::shared_ptr<const io::LogitCache> cache) : cache_(std::move(cache)) {
    if (cache_->info().spec.form == io::SignalForm::kHidden) {
      head_ = read_cache_head(cache_->info());
    }
  }

  void announce(const types::Batch& batch) override {
    auto keys = types::segment_keys(batch);
    auto signal = read_signal(*cache_, batch, keys);
    announced_.add(std::move(keys), std::move(signal));
  }

  types::TeacherSignal signal(const types::Batch& batch) override {
    const auto keys = types::segment_keys(batch);
    const at::Device device = batch.input.input_ids.device();
    auto ready = announced_.take(keys);
    auto signal = moved_to(ready ? std::move(*ready) : read_signal(*cache_, batch, keys), device);
    if (auto* hidden = std::get_if<types::DenseHidden>(&signal)) {
      head_.head = head_.head.to(device);  // once
      hidden->head = head_.head;
      hidden->transform = head_.transform;
    }
    return signal;
  }

  std::string describe() const override {
    const io::LogitCacheInfo& info = cache_->info();
    return core::concat("cache ", core::shown(info.folder), " (", form_text(info.spec),
                        info.spec.fact("teacher"), ", ", core::with_thousands(info.segments),
                        " segments)");
  }

 private:
  std::shared_ptr<const io::LogitCache> cache_;
  CacheHead head_;
  Announced<types::TeacherSignal> announced_;
};

}  // namespace

std::unique_ptr<Teacher> make_cache_teacher(std::shared_ptr<const io::LogitCache> cache) {
  return std::make_unique<CacheTeacher>(std::move(cache));
}

}  // namespace distill::teachers

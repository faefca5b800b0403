#include "train/gradient_step.h"

#include <array>
#include <chrono>

#include <ATen/TensorOperators.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/stack.h>
#include <c10/core/GradMode.h>

#include <distill/core/error.h>
#include <distill/core/interrupted.h>
#include <distill/core/random.h>

namespace distill::train {

namespace {

/// Adapters drop elements while it lives.
class DropoutScope {
 public:
  explicit DropoutScope(nn::AdapterSwitch* adapters) : adapters_(adapters) {}
  ~DropoutScope() {
    if (adapters_ != nullptr) adapters_->dropout_seed.reset();
  }
  DropoutScope(const DropoutScope&) = delete;
  DropoutScope& operator=(const DropoutScope&) = delete;

  void use(std::uint64_t seed) const {
    if (adapters_ != nullptr) adapters_->dropout_seed = seed;
  }

 private:
  nn::AdapterSwitch* adapters_;
};

}  // namespace

std::int64_t num_micro_batches(const TrainerOptions& options, const dist::Communicator& ranks) {
  return options.batch_size / options.micro_batch_size / ranks.size();
}

GradientStep::GradientStep(const TrainerParts& parts, const TrainerOptions& options,
                           GradientAccumulator& accumulator)
    : parts_(parts),
      seed_(options.seed),
      micro_batch_size_(options.micro_batch_size),
      num_micro_batches_(num_micro_batches(options, parts.ranks)),
      accumulator_(accumulator),
      device_(parts.student.device()),
      needs_(parts.loss.needs()) {}

types::Batch GradientStep::next_batch() {
  types::Batch batch = parts_.batches.next();
  if (batch.num_sequences != micro_batch_size_) {
    fail<ConfigError>("batches come with ", batch.num_sequences,
                      " rows, expected `micro_batch_size` of them: ", micro_batch_size_);
  }
  return types::moved_to(batch, device_);
}

std::uint64_t GradientStep::dropout_seed(std::int64_t step, std::int64_t micro_batch) const {
  constexpr std::uint64_t kDropout = 0xd409;  // tells it from other uses of the seed
  const std::int64_t place =
      (step * num_micro_batches_ + micro_batch) * parts_.ranks.size() + parts_.ranks.rank();
  core::RandomState random(seed_ + kDropout, static_cast<std::uint64_t>(place));
  return random.next();
}

void GradientStep::ask_teacher(const types::Batch& batch, losses::LossInput& input) {
  const c10::NoGradGuard no_grad;
  const auto begin = std::chrono::steady_clock::now();
  if (needs_.teacher.empty()) {
    input.teacher = parts_.teacher->signal(batch);
  } else {
    auto answer = parts_.teacher->signal_with_layers(batch, needs_.teacher);
    input.teacher = std::move(answer.signal);
    input.teacher_layers = std::move(answer.layers);
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  teacher_seconds_ += took.count();
  warn_once(input.teacher);
}

types::LossValue GradientStep::forward(const types::Batch& batch) {
  losses::LossInput input;
  input.labels = batch.labels;
  input.mask = batch.loss_mask;
  input.vocabulary = batch.vocabulary;
  // First: what the teacher allocates on the way is free again before the student's graph grows.
  if (parts_.loss.needs_teacher()) ask_teacher(batch, input);
  input.student = needs_.student.empty()
                      ? parts_.student.forward(batch.input)
                      : parts_.student.forward_with_layers(batch.input, needs_.student);
  if (!needs_.empty()) input.segments = batch.input.segments;
  return parts_.loss(input);
}

void GradientStep::warn_once(const types::TeacherSignal& teacher) {
  if (has_warned_ || !parts_.ranks.is_main()) return;
  has_warned_ = true;
  for (const auto& line : parts_.loss.warnings(teacher)) {
    parts_.log.write(core::LogLevel::kWarning, line);
  }
}

void GradientStep::add_scalar(at::Tensor& total, const at::Tensor& value) const {
  const at::Tensor wide = value.detach().to(device_, at::kDouble);
  total = total.defined() ? total + wide : wide;
}

void GradientStep::add(Totals& totals, const types::LossValue& value) {
  if (part_names_.empty()) {
    for (const auto& part : value.parts) part_names_.push_back(part.name);
  }
  if (part_names_.size() != value.parts.size()) {
    fail<Error>("loss `", parts_.loss.name(), "` gave ", value.parts.size(), " terms after ",
                part_names_.size(), "; it must give the same terms every time");
  }
  add_scalar(totals.loss, value.sum);
  totals.parts.resize(value.parts.size());
  for (std::size_t i = 0; i < value.parts.size(); ++i) {
    add_scalar(totals.parts[i], value.parts[i].sum);
  }
}

void GradientStep::reduce(const Totals& totals, StepSums& sums) {
  std::vector<at::Tensor> sums_of_terms = {totals.loss};
  sums_of_terms.insert(sums_of_terms.end(), totals.parts.begin(), totals.parts.end());
  const at::Tensor on_host = at::stack(sums_of_terms).cpu();
  const auto* first = on_host.const_data_ptr<double>();
  std::vector<double> values(first, first + on_host.numel());
  parts_.ranks.all_reduce_sum(values);
  const auto count = static_cast<double>(sums.targets);
  sums.loss = values[0] / count;
  for (std::size_t i = 0; i < part_names_.size(); ++i) {
    sums.parts.emplace_back(part_names_[i], values[i + 1] / count);
  }
}

/// False: the teacher was asked to stop waiting, nothing was computed.
bool GradientStep::forward_and_backward(const types::Batch& batch, std::int64_t targets,
                                        Totals& totals) {
  types::LossValue value;
  try {
    value = forward(batch);
  } catch (const Interrupted&) {
    return false;
  }
  add(totals, value);
  // The mean over the whole step: each part of it is divided by the same count.
  value.sum.backward(at::scalar_tensor(1.0 / static_cast<double>(targets), value.sum.options()));
  return true;
}

StepSums GradientStep::run(std::int64_t step, const std::function<bool()>& should_stop) {
  teacher_seconds_ = 0;
  std::vector<types::Batch> batches;
  std::array<std::int64_t, 2> counts = {0, 0};
  const auto begin = std::chrono::steady_clock::now();
  for (std::int64_t i = 0; i < num_micro_batches_; ++i) {
    batches.push_back(next_batch());
    counts[0] += batches.back().input.input_ids.numel();
    counts[1] += batches.back().num_targets;
  }
  const std::chrono::duration<double> waited = std::chrono::steady_clock::now() - begin;
  parts_.ranks.all_reduce_sum(counts);
  StepSums sums;
  sums.data_seconds = waited.count();
  sums.tokens = counts[0];
  sums.targets = counts[1];
  if (sums.targets == 0) {
    if (part_names_.empty()) {  // the log still gets every term by name
      const c10::NoGradGuard no_grad;
      Totals ignored;
      add(ignored, forward(batches.front()));
    }
    for (const auto& name : part_names_) sums.parts.emplace_back(name, 0.0);
    return sums;
  }

  Totals totals;
  bool interrupted = false;
  const c10::AutoGradMode with_graph(true);
  const DropoutScope dropout(parts_.student.adapter_switch());
  for (std::size_t i = 0; i < batches.size(); ++i) {
    types::Batch& batch = batches[i];
    if (should_stop() || interrupted) {
      sums.abandoned = true;
      return sums;
    }
    dropout.use(dropout_seed(step, static_cast<std::int64_t>(i)));
    // The other ranks hear of it when they ask before the next micro-batch.
    if (!forward_and_backward(batch, sums.targets, totals)) interrupted = true;
    batch = {};  // nothing of the pass is left when the sums are touched
    accumulator_.collect();
  }
  if (parts_.loss.needs_teacher() && parts_.ranks.any(interrupted)) {
    sums.abandoned = true;
    return sums;
  }
  accumulator_.all_reduce(parts_.ranks);
  reduce(totals, sums);
  sums.teacher_seconds = teacher_seconds_;
  return sums;
}

}  // namespace distill::train

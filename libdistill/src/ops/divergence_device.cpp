#include "ops/divergence_device.h"

#include <algorithm>

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>

#include "ops/divergence_terms.h"

namespace distill::ops {
namespace {

/// Rows of logits begin at multiples of it: matrix products read them in whole vectors.
constexpr std::int64_t kStrideStep = 16;

/// out = a b; bf16 times bf16 is summed and left in fp32.
void product(at::Tensor out, const at::Tensor& a, const at::Tensor& b) {
  if (a.scalar_type() == out.scalar_type()) {
    at::mm_out(out, a, b);
  } else if (a.is_cuda()) {
    at::mm_out(out, a, b, out.scalar_type());
  } else {  // a CPU has no such product
    at::mm_out(out, a.to(out.scalar_type()), b.to(out.scalar_type()));
  }
}

template <class T>
T* data(const at::Tensor& x) {
  return x.defined() ? static_cast<T*>(x.mutable_data_ptr()) : nullptr;
}

/// Rows from `first` on of a dense [n, ...] tensor.
template <class T>
const T* rows_of(const at::Tensor& x, std::int64_t first) {
  if (!x.defined()) return nullptr;
  return static_cast<const T*>(x.const_data_ptr()) + first * (x.dim() > 1 ? x.size(1) : 1);
}

template <class T>
cpu::Transform<T> transform_of(const ModelSide& side) {
  return {static_cast<T>(side.transform.scale), static_cast<T>(side.transform.softcap)};
}

template <class T>
cuda::Terms<T> terms_of(const DivergenceProblem& problem) {
  cuda::Terms<T> terms;
  terms.count = static_cast<std::int64_t>(problem.terms.size());
  TORCH_CHECK(terms.count <= cuda::kMostTerms, "linear_divergence: `terms` has ", terms.count,
              " entries, on ", problem.student.head.device(), " at most ", cuda::kMostTerms,
              " fit in one call; split them over several");
  for (std::int64_t i = 0; i < terms.count; ++i) {
    const LogitTerm& term = problem.terms[static_cast<std::size_t>(i)];
    const auto t = static_cast<std::size_t>(problem.temperature_of[static_cast<std::size_t>(i)]);
    const bool is_label_term = term.kind == LogitTermKind::kCrossEntropy;
    terms.items[i] = {cpu::term_args<T>(problem, i), cpu::reduction_rule(term),
                      1.0 / problem.temperatures[t], is_label_term ? term.z_loss : 0.0};
  }
  for (const double temperature : problem.temperatures) {
    terms.inverse_temperatures[terms.num_temperatures++] = static_cast<T>(1.0 / temperature);
  }
  return terms;
}

bool any_term(const DivergenceProblem& problem, auto&& predicate) {
  return std::any_of(problem.terms.begin(), problem.terms.end(), predicate);
}

/// What the passes have to do, from the kinds of the terms.
struct Passes {
  bool thresholds, reductions, last;

  explicit Passes(const DivergenceProblem& problem)
      : thresholds(
            problem.has_dense_teacher() &&
            any_term(problem,
                     [](const LogitTerm& t) { return t.kind == LogitTermKind::kAdaptiveKl; })),
        reductions(
            problem.has_dense_teacher() &&
            any_term(problem, [](const LogitTerm& t) { return cpu::has_reductions(t.kind); })),
        last(problem.needs_gradient() || any_term(problem, [&](const LogitTerm& t) {
               return !cpu::has_reductions(t.kind) &&
                      !(problem.sparse.defined() && needs_teacher(t.kind));
             })) {}
};

template <class T>
class DeviceDivergence {
 public:
  DeviceDivergence(const DivergenceProblem& problem, const cuda::Kernels<T>& kernels, void* stream)
      : problem_(problem),
        kernels_(kernels),
        stream_(stream),
        terms_(terms_of<T>(problem)),
        passes_(problem),
        narrow_(problem.needs_gradient() && problem.student.head.scalar_type() == at::kBFloat16),
        stride_((problem.vocabulary + kStrideStep - 1) / kStrideStep * kStrideStep),
        capacity_(choose_chunk()) {
    allocate();
  }

  DivergenceSums run() {
    const at::Tensor& head = problem_.student.head;
    DivergenceSums sums;
    if (problem_.needs_hidden_grad) {
      sums.hidden_grad = at::empty({problem_.num_rows, head.size(1)}, options(kType));
    }
    at::Tensor head_grad;
    if (problem_.needs_head_grad) head_grad = at::zeros(head.sizes(), options(kType));
    at::Tensor values = at::zeros({terms_.count}, options(at::kDouble));
    for (first_row_ = 0; first_row_ < problem_.num_rows; first_row_ += capacity_) {
      set_chunk(std::min(capacity_, problem_.num_rows - first_row_));
      first_pass();
      if (passes_.thresholds) start(kernels_.thresholds);
      if (passes_.reductions) start(kernels_.reduce);
      if (passes_.last) last_pass(sums.hidden_grad, head_grad);
      values.add_(weighted_values().sum(0));
    }
    if (head_grad.defined()) sums.head_grad = head_grad.to(head.scalar_type());
    const at::Tensor on_host = values.cpu();
    const auto* of_terms = on_host.const_data_ptr<double>();
    sums.values.assign(of_terms, of_terms + terms_.count);
    return sums;
  }

 private:
  static constexpr at::ScalarType kType = c10::CppTypeToScalarType<T>::value;

  at::TensorOptions options(at::ScalarType type) const {
    return problem_.student.head.options().dtype(type);
  }

  std::int64_t choose_chunk() const {
    constexpr auto kBytes = static_cast<std::int64_t>(sizeof(T));
    const std::int64_t models = problem_.has_dense_teacher() ? 2 : 1;
    std::int64_t bytes = stride_ * (models * kBytes + (narrow_ ? 2 : 0));
    bytes += 3 * (1 + terms_.num_temperatures) * kBytes;
    bytes += terms_.count * (cpu::kRowParams * kBytes + 8);
    if (problem_.sparse.defined()) bytes += problem_.sparse.count() * (1 + terms_.count) * kBytes;
    if (problem_.rows.defined()) {  // rows are gathered before they are used
      bytes += 2 * problem_.student.hidden.size(1) * kBytes;
      if (problem_.teacher.hidden.defined()) bytes += problem_.teacher.hidden.size(1) * kBytes;
      if (problem_.teacher_logits.defined()) {
        bytes += problem_.vocabulary * problem_.teacher_logits.element_size();
      }
    }
    const std::int64_t fitting =
        std::clamp<std::int64_t>(problem_.workspace_bytes / bytes, 1, problem_.num_rows);
    const std::int64_t chunks = (problem_.num_rows + fitting - 1) / fitting;
    return (problem_.num_rows + chunks - 1) / chunks;
  }

  void allocate() {
    const auto numbers = [&](std::int64_t columns) {
      return at::empty({capacity_, columns}, options(kType));
    };
    const std::int64_t temperatures = terms_.num_temperatures;
    student_ = numbers(stride_);
    student_stats_ = {numbers(1), numbers(temperatures)};
    if (problem_.has_dense_teacher()) {
      teacher_ = numbers(stride_);
      teacher_stats_ = {numbers(1), numbers(temperatures)};
    }
    if (narrow_) gradient_ = at::empty({capacity_, stride_}, options(at::kBFloat16));
    if (problem_.sparse.defined()) {
      const std::int64_t count = problem_.sparse.count();
      held_stats_ = {numbers(1), numbers(temperatures)};
      held_logits_ = numbers(count);
      held_slopes_ = numbers(terms_.count * count);
    }
    params_ = numbers(terms_.count * cpu::kRowParams);
    values_ = at::empty({capacity_, terms_.count}, options(at::kDouble));
  }

  /// Points chunk_ at rows [first_row_, first_row_ + rows).
  void set_chunk(std::int64_t rows) {
    chunk_ = {};
    chunk_.rows = rows;
    chunk_.vocabulary = problem_.vocabulary;
    chunk_.stride = stride_;
    chunk_.student = {data<T>(student_), transform_of<T>(problem_.student),
                      data<T>(student_stats_.maxima), data<T>(student_stats_.log_sums)};
    chunk_.teacher = {data<T>(teacher_), transform_of<T>(problem_.teacher),
                      data<T>(teacher_stats_.maxima), data<T>(teacher_stats_.log_sums)};
    if (problem_.sparse.defined()) {
      const SparseTeacher& sparse = problem_.sparse;
      chunk_.held = {rows_of<std::int64_t>(sparse.ids, first_row_),
                     sparse.count(),
                     rows_of<double>(sparse.log_probs, first_row_),
                     rows_of<double>(sparse.weights, first_row_),
                     sparse.temperature,
                     data<T>(held_logits_),
                     data<T>(held_slopes_),
                     data<T>(held_stats_.maxima),
                     data<T>(held_stats_.log_sums)};
    }
    chunk_.labels = rows_of<std::int64_t>(problem_.labels, first_row_);
    chunk_.row_weights = rows_of<double>(problem_.row_weights, first_row_);
    chunk_.params = data<T>(params_.zero_());
    chunk_.values = data<double>(values_.zero_());
  }

  template <class Start, class... More>
  void start(Start kernel, const More&... more) {
    const char* error = kernel(chunk_, terms_, more..., stream_);
    TORCH_CHECK(error == nullptr, "linear_divergence: a kernel could not be started on ",
                problem_.student.head.device(), ": ", error);
  }

  at::Tensor logits(const at::Tensor& of) const {
    return of.narrow(0, 0, chunk_.rows).narrow(1, 0, chunk_.vocabulary);
  }
  at::Tensor shared_ids(const at::Tensor& head) const {
    return head.narrow(0, 0, chunk_.vocabulary);
  }
  at::Tensor chunk_of(const at::Tensor& x) const {
    return take_rows(problem_, x, first_row_, chunk_.rows);
  }

  void project(const at::Tensor& out, const ModelSide& model) const {
    product(logits(out), chunk_of(model.hidden), shared_ids(model.head).t());
  }

  void first_pass() {
    project(student_, problem_.student);
    start(kernels_.student);
    if (problem_.sparse.defined()) start(kernels_.held);
    if (!problem_.has_dense_teacher()) return;
    if (problem_.teacher_logits.defined()) {
      at::Tensor out = logits(teacher_);
      out.copy_(chunk_of(problem_.teacher_logits.narrow(1, 0, chunk_.vocabulary)));
      out.clamp_min_(cpu::kNoLogit);  // ids the teacher excludes with -infinity
    } else {
      project(teacher_, problem_.teacher);
    }
    start(kernels_.teacher);
  }

  void last_pass(const at::Tensor& hidden_grad, const at::Tensor& head_grad) {
    cuda::GradientOut<T> out;
    if (narrow_) {
      out.bf16 = data<cpu::Bf16>(gradient_);
    } else if (problem_.needs_gradient()) {
      out.same = chunk_.student.logits;
    }
    start(kernels_.gradient, out);
    const at::Tensor slope = logits(narrow_ ? gradient_ : student_);
    if (hidden_grad.defined()) {
      product(hidden_grad.narrow(0, first_row_, chunk_.rows), slope,
              shared_ids(problem_.student.head));
    }
    if (head_grad.defined()) add_head_grad(slope, head_grad);
  }

  void add_head_grad(const at::Tensor& slope, const at::Tensor& head_grad) {
    const at::Tensor hidden = chunk_of(problem_.student.hidden);
    const std::int64_t ids = chunk_.vocabulary;
    if (first_row_ == 0) {
      product(head_grad.narrow(0, 0, ids), slope.t(), hidden);
      return;
    }
    if (!narrow_) {
      head_grad.narrow(0, 0, ids).addmm_(slope.t(), hidden);
      return;
    }
    // There is no sum of bf16 products onto fp32: some ids at a time, through a small buffer.
    const std::int64_t fitting = problem_.workspace_bytes / 8 / (4 * head_grad.size(1) + 1);
    const std::int64_t step = std::min(ids, std::max<std::int64_t>(fitting, 64));
    const at::Tensor part = at::empty({step, head_grad.size(1)}, options(kType));
    for (std::int64_t first = 0; first < ids; first += step) {
      const std::int64_t count = std::min(step, ids - first);
      product(part.narrow(0, 0, count), slope.narrow(1, first, count).t(), hidden);
      head_grad.narrow(0, first, count).add_(part.narrow(0, 0, count));
    }
  }

  at::Tensor weighted_values() const {
    const at::Tensor values = values_.narrow(0, 0, chunk_.rows);
    if (!problem_.row_weights.defined()) return values;
    return values * problem_.row_weights.narrow(0, first_row_, chunk_.rows).unsqueeze(1);
  }

  struct Statistics {
    at::Tensor maxima, log_sums;
  };

  const DivergenceProblem& problem_;
  const cuda::Kernels<T>& kernels_;
  void* stream_;
  cuda::Terms<T> terms_;
  Passes passes_;
  bool narrow_;  ///< gradients of the logits are bf16
  std::int64_t stride_;
  std::int64_t capacity_;  ///< rows of a chunk
  at::Tensor student_, teacher_, gradient_;
  Statistics student_stats_, teacher_stats_, held_stats_;
  at::Tensor held_logits_, held_slopes_;
  at::Tensor params_, values_;
  std::int64_t first_row_ = 0;
  cuda::Chunk<T> chunk_;
};

}  // namespace

DivergenceSums linear_divergence_on_device(const DivergenceProblem& problem,
                                           const cuda::KernelTable& kernels, void* stream) {
  if (problem.student.head.scalar_type() == at::kDouble) {
    return DeviceDivergence<double>(problem, kernels.f64, stream).run();
  }
  return DeviceDivergence<float>(problem, kernels.f32, stream).run();
}

}  // namespace distill::ops

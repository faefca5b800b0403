// Time of linear_divergence (forward and backward) relative to the bare matrix products it cannot
// do without, and its extra memory. Both are timed in turn in one run; medians are compared. The
// ratio of CPU times tells more on a machine that others use (with OMP_WAIT_POLICY=passive).
//   linear_divergence_bench [rows width vocabulary [rounds [bf16 | fp32]]]

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <string>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>

#include <distill/ops/linear_divergence.h>

namespace {

using distill::ops::LinearDivergenceInput;
using distill::ops::LogitTerm;
using distill::ops::LogitTermKind;

struct Shape {
  std::int64_t rows, width, vocabulary;
};

struct Time {
  double wall, cpu;
};

Time time_of(const auto& body) {
  const auto start = std::chrono::steady_clock::now();
  const std::clock_t cpu_start = std::clock();
  body();
  const double cpu = static_cast<double>(std::clock() - cpu_start) / CLOCKS_PER_SEC;
  return {std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), cpu};
}

double median(const std::vector<Time>& times, double Time::*which) {
  std::vector<double> values;
  for (const Time& time : times) values.push_back(time.*which);
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// MiB, from /proc/self/status; the peak is reset before each measured call where that is allowed.
double status_mib(const std::string& key) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(key + ":"))
      return std::strtod(line.c_str() + key.size() + 1, nullptr) / 1024;
  }
  return 0;
}
void reset_peak() {
  std::ofstream("/proc/self/clear_refs") << "5";
}

struct Problem {
  at::Tensor hidden, head, teacher_hidden, teacher_head, slope;
};

Problem make_problem(const Shape& shape, at::ScalarType type) {
  const auto random = [&](std::int64_t rows, std::int64_t columns, double scale) {
    return (at::randn({rows, columns}) * scale).to(type);
  };
  return {random(shape.rows, shape.width, 1.0), random(shape.vocabulary, shape.width, 0.1),
          random(shape.rows, shape.width, 1.0), random(shape.vocabulary, shape.width, 0.1),
          random(shape.rows, shape.vocabulary, 1e-3)};
}

Time time_products(const Problem& p, bool frozen_head) {
  return time_of([&] {
    at::mm(p.hidden, p.head.t());
    at::mm(p.teacher_hidden, p.teacher_head.t());
    at::mm(p.slope, p.head);
    if (!frozen_head) at::mm(p.slope.t(), p.hidden);
  });
}

Time time_loss(const Problem& p, bool frozen_head, std::int64_t workspace, double& extra_mib) {
  LinearDivergenceInput input;
  input.student_hidden = p.hidden.detach().requires_grad_();
  input.student_head = p.head.detach();
  if (!frozen_head) input.student_head.requires_grad_();
  input.teacher = distill::types::DenseHidden{p.teacher_hidden, p.teacher_head, {}};
  input.workspace_bytes = workspace;
  const LogitTerm term{LogitTermKind::kForwardKl, 1.0, 2.0, true};
  reset_peak();
  const double before = status_mib("VmRSS");
  const Time time = time_of(
      [&] { distill::ops::linear_divergence(input, std::span(&term, 1)).total.backward(); });
  extra_mib = status_mib("VmHWM") - before;
  return time;
}

void run(const Shape& shape, at::ScalarType type, int rounds) {
  const Problem problem = make_problem(shape, type);
  std::printf("%s rows %ld width %ld vocabulary %ld\n", c10::toString(type),
              static_cast<long>(shape.rows), static_cast<long>(shape.width),
              static_cast<long>(shape.vocabulary));
  for (const bool frozen_head : {false, true}) {
    std::vector<Time> products;
    const std::vector<std::int64_t> sizes = {64, 256, 1024};
    std::vector<std::vector<Time>> times(sizes.size());
    std::vector<double> extra(sizes.size());
    for (int round = 0; round <= rounds; ++round) {
      const Time floor = time_products(problem, frozen_head);
      if (round > 0) products.push_back(floor);
      for (std::size_t i = 0; i < sizes.size(); ++i) {
        const Time time = time_loss(problem, frozen_head, sizes[i] << 20, extra[i]);
        if (round > 0) times[i].push_back(time);
      }
    }
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      const double wall = median(times[i], &Time::wall);
      const double bare = median(products, &Time::wall);
      const double cpu_ratio = median(times[i], &Time::cpu) / median(products, &Time::cpu);
      std::printf(
          "  %s head, workspace %4ld MiB: %.3f s, products %.3f s, ratio %.2f (CPU time "
          "%.2f), extra %.0f MiB\n",
          frozen_head ? "frozen" : "trained", static_cast<long>(sizes[i]), wall, bare, wall / bare,
          cpu_ratio, extra[i]);
      std::fflush(stdout);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<Shape> shapes = {{2048, 576, 49152}, {256, 64, 512}};
  if (argc >= 4) shapes = {{std::atol(argv[1]), std::atol(argv[2]), std::atol(argv[3])}};
  const int rounds = argc >= 5 ? std::atoi(argv[4]) : 3;
  const std::string only = argc >= 6 ? argv[5] : "";
  for (const auto& shape : shapes) {
    if (only != "fp32") run(shape, at::kBFloat16, rounds);
    if (only != "bf16") run(shape, at::kFloat, rounds);
  }
  return 0;
}

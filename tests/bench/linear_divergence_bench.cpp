// Time of linear_divergence (forward and backward) relative to the bare matrix products it cannot
// do without, and its extra memory. All are timed in turn in one run; medians are compared.
//   linear_divergence_bench [--shape ROWSxWIDTHxVOCABULARY]... [--dtype bf16|fp32]...
//       [--kind KIND]... [--workspace MIB]... [--rounds N] [--frozen] [--profile]
// KIND is a kind of loss or forward_kl+cross_entropy; without arguments: all of them on three
// shapes. The products of forward_kl+cross_entropy and of a kind alone are the same four.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <list>
#include <sstream>
#include <string>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>

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

/// Student logits, teacher logits, gradient of the hidden states, and of the head.
Time time_products(const Problem& p, bool frozen_head) {
  return time_of([&] {
    at::mm(p.hidden, p.head.t());
    at::mm(p.teacher_hidden, p.teacher_head.t());
    at::mm(p.slope, p.head);
    if (!frozen_head) at::mm(p.slope.t(), p.hidden);
  });
}

struct Case {
  std::string name;
  std::vector<LogitTerm> terms;
};

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  const LogitTerm cross_entropy{LogitTermKind::kCrossEntropy, 0.3};
  for (const auto name : distill::ops::choice_names(LogitTermKind{})) {
    const auto kind = static_cast<LogitTermKind>(cases.size());
    if (kind == LogitTermKind::kCrossEntropy) break;
    cases.push_back({std::string(name), {{kind, 1.0, 2.0}}});
  }
  cases.push_back(
      {"forward_kl+cross_entropy", {{LogitTermKind::kForwardKl, 0.7, 2.0}, cross_entropy}});
  return cases;
}

Time time_loss(const Problem& p, const Case& of, bool frozen_head, std::int64_t workspace,
               distill::ops::Workspace& kept, double& extra_mib) {
  LinearDivergenceInput input;
  input.student_hidden = p.hidden.detach().requires_grad_();
  input.student_head = p.head.detach();
  if (!frozen_head) input.student_head.requires_grad_();
  input.teacher = distill::types::DenseHidden{p.teacher_hidden, p.teacher_head, {}};
  input.labels = at::zeros({p.hidden.size(0)}, at::kLong);
  input.workspace_bytes = workspace << 20;
  input.workspace = &kept;
  reset_peak();
  const double before = status_mib("VmRSS");
  const Time time =
      time_of([&] { distill::ops::linear_divergence(input, of.terms).total.backward(); });
  // The gradients themselves are what was asked for.
  const double gradients = static_cast<double>(input.student_hidden.nbytes() +
                                               (frozen_head ? 0 : input.student_head.nbytes())) /
                           (1 << 20);
  extra_mib = status_mib("VmHWM") - before - gradients;
  return time;
}

struct Options {
  std::vector<Shape> shapes;
  std::vector<at::ScalarType> types;
  std::vector<std::string> kinds;
  std::vector<std::int64_t> workspaces;
  int rounds = 5;
  bool frozen = false;
  bool profile = false;  ///< the losses alone, for a profiler
};

struct Line {
  const Case* of = nullptr;
  std::int64_t workspace = 0;
  std::vector<Time> times;
  double extra = 0;  ///< of the first call, which finds nothing kept
  distill::ops::Workspace kept = {};
};

void run(const Shape& shape, at::ScalarType type, const Options& options) {
  const Problem problem = make_problem(shape, type);
  const std::vector<Case> cases = all_cases();
  std::list<Line> lines;
  for (const Case& of : cases) {
    const auto& kinds = options.kinds;
    if (!kinds.empty() && std::find(kinds.begin(), kinds.end(), of.name) == kinds.end()) continue;
    for (const auto workspace : options.workspaces) {
      Line& line = lines.emplace_back();
      line.of = &of;
      line.workspace = workspace;
    }
  }
  std::vector<Time> products;
  for (int round = 0; round <= options.rounds; ++round) {
    const Time floor = options.profile ? Time{1, 1} : time_products(problem, options.frozen);
    if (round > 0) products.push_back(floor);
    for (Line& line : lines) {
      double extra = 0;
      const Time time =
          time_loss(problem, *line.of, options.frozen, line.workspace, line.kept, extra);
      if (round > 0) line.times.push_back(time);
      if (round == 0) line.extra = extra;
    }
  }
  const double bare = median(products, &Time::wall);
  const double flops = (options.frozen ? 6.0 : 8.0) * static_cast<double>(shape.rows) *
                       static_cast<double>(shape.width) * static_cast<double>(shape.vocabulary);
  std::printf("%s, %ld rows, width %ld, vocabulary %ld, %s head: products %.3f s (%.0f GFLOP/s)\n",
              c10::toString(type), static_cast<long>(shape.rows), static_cast<long>(shape.width),
              static_cast<long>(shape.vocabulary), options.frozen ? "frozen" : "trained", bare,
              flops / bare / 1e9);
  for (const Line& line : lines) {
    const double wall = median(line.times, &Time::wall);
    std::printf(
        "  %-26s workspace %5ld MiB   %.3f s   ratio %.2f (CPU time %.2f)   extra %.0f MiB\n",
        line.of->name.c_str(), static_cast<long>(line.workspace), wall, wall / bare,
        median(line.times, &Time::cpu) / median(products, &Time::cpu), line.extra);
  }
  std::fflush(stdout);
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--frozen" || name == "--profile") {
      (name == "--frozen" ? options.frozen : options.profile) = true;
      continue;
    }
    const std::string value = i + 1 < argc ? argv[++i] : "";
    if (name == "--shape") {
      Shape shape{};
      char x = 0;
      std::istringstream(value) >> shape.rows >> x >> shape.width >> x >> shape.vocabulary;
      options.shapes.push_back(shape);
    } else if (name == "--dtype") {
      options.types.push_back(value == "fp32" ? at::kFloat : at::kBFloat16);
    } else if (name == "--kind") {
      options.kinds.push_back(value);
    } else if (name == "--workspace") {
      options.workspaces.push_back(std::stol(value));
    } else if (name == "--rounds") {
      options.rounds = std::stoi(value);
    } else {
      std::fprintf(stderr, "unknown argument %s; the head of the source lists them\n", argv[i]);
      std::exit(2);
    }
  }
  if (options.shapes.empty())
    options.shapes = {{2048, 576, 49152}, {1024, 2048, 151936}, {256, 64, 512}};
  if (options.types.empty()) options.types = {at::kBFloat16, at::kFloat};
  if (options.workspaces.empty()) options.workspaces = {256};
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  for (const auto& shape : options.shapes) {
    for (const auto type : options.types) run(shape, type, options);
  }
  return 0;
}

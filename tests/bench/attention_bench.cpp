// Time of packed_causal_attention, forward and forward with backward, relative to LibTorch's
// scaled_dot_product_attention. Both are timed in turn in one run; the fastest rounds are compared.
//   attention_bench [--shape SEGMENTSxTOKENS:HEADS/KV_HEADSxD[xDV]]... [--dtype bf16|fp32]...
//       [--window KEYS] [--rounds N] [--profile]
// Without arguments: three shapes in bf16.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/scaled_dot_product_attention.h>

#include <distill/ops/attention.h>

namespace {

struct Shape {
  std::int64_t segments, tokens, heads, kv_heads, size, value_size;
};

struct Problem {
  at::Tensor q, k, v, grad;
  std::vector<std::int64_t> segments;
  double scale;
};

Problem make_problem(const Shape& s, at::ScalarType type) {
  const auto random = [&](std::int64_t heads, std::int64_t size) {
    return at::randn({s.segments * s.tokens, heads, size}).to(type);
  };
  Problem p{random(s.heads, s.size),
            random(s.kv_heads, s.size),
            random(s.kv_heads, s.value_size),
            random(s.heads, s.value_size),
            {0},
            0.125};
  for (std::int64_t i = 1; i <= s.segments; ++i) p.segments.push_back(i * s.tokens);
  for (at::Tensor* x : {&p.q, &p.k, &p.v}) x->requires_grad_();
  return p;
}

at::Tensor ours(const Problem& p, std::int64_t window) {
  return distill::ops::packed_causal_attention(p.q, p.k, p.v, p.segments, {p.scale, window});
}

at::Tensor theirs(const Problem& p, const Shape& s, std::int64_t window) {
  const auto batch = [&](const at::Tensor& x) {
    return x.unflatten(0, {s.segments, s.tokens}).transpose(1, 2);
  };
  std::optional<at::Tensor> mask;
  if (window > 0) mask = at::ones({s.tokens, s.tokens}, at::kBool).tril().triu(1 - window);
  return at::scaled_dot_product_attention(batch(p.q), batch(p.k), batch(p.v), mask, 0.0,
                                          window == 0, p.scale, s.heads != s.kv_heads)
      .transpose(1, 2)
      .flatten(0, 1);
}

struct Times {
  std::vector<double> forward, both;
};

double seconds_of(const auto& body) {
  const auto start = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// What else runs on the machine can only add.
double fastest(const std::vector<double>& values) {
  return *std::min_element(values.begin(), values.end());
}

void time_once(const Problem& p, const auto& attention, Times& times) {
  at::Tensor out;
  for (const at::Tensor& x : {p.q, p.k, p.v}) x.mutable_grad() = at::Tensor();
  const double forward = seconds_of([&] { out = attention(); });
  times.forward.push_back(forward);
  times.both.push_back(forward + seconds_of([&] { out.backward(p.grad); }));
}

struct Options {
  std::vector<Shape> shapes;
  std::vector<at::ScalarType> types;
  std::int64_t window = 0;
  int rounds = 15;
  bool profile = false;  ///< ours alone, for a profiler
};

void run(const Shape& s, at::ScalarType type, const Options& options) {
  const Problem p = make_problem(s, type);
  Times mine, sdpa;
  for (int round = 0; round <= options.rounds; ++round) {
    if (round == 1) mine = sdpa = {};  // the first finds nothing compiled
    time_once(
        p, [&] { return ours(p, options.window); }, mine);
    if (!options.profile) {
      time_once(
          p, [&] { return theirs(p, s, options.window); }, sdpa);
    } else {
      sdpa = mine;
    }
  }
  const double forward = fastest(mine.forward), both = fastest(mine.both);
  std::printf(
      "%s, %ld x %ld tokens, %ld/%ld heads, D %ld, Dv %ld, window %ld: forward %.2f ms, SDPA %.2f "
      "ms, ratio %.2f; with backward %.2f ms, SDPA %.2f ms, ratio %.2f\n",
      c10::toString(type), static_cast<long>(s.segments), static_cast<long>(s.tokens),
      static_cast<long>(s.heads), static_cast<long>(s.kv_heads), static_cast<long>(s.size),
      static_cast<long>(s.value_size), static_cast<long>(options.window), forward * 1e3,
      fastest(sdpa.forward) * 1e3, forward / fastest(sdpa.forward), both * 1e3,
      fastest(sdpa.both) * 1e3, both / fastest(sdpa.both));
  std::fflush(stdout);
}

Shape parse_shape(const std::string& text) {
  Shape s{};
  char mark = 0;
  std::istringstream in(text);
  in >> s.segments >> mark >> s.tokens >> mark >> s.heads >> mark >> s.kv_heads >> mark >> s.size;
  if (!(in >> mark >> s.value_size)) s.value_size = s.size;
  return s;
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--profile") {
      options.profile = true;
      continue;
    }
    const std::string value = i + 1 < argc ? argv[++i] : "";
    if (name == "--shape") {
      options.shapes.push_back(parse_shape(value));
    } else if (name == "--dtype") {
      options.types.push_back(value == "fp32" ? at::kFloat : at::kBFloat16);
    } else if (name == "--window") {
      options.window = std::stol(value);
    } else if (name == "--rounds") {
      options.rounds = std::stoi(value);
    } else {
      std::fprintf(stderr, "unknown argument %s; the head of the source lists them\n",
                   name.c_str());
      std::exit(2);
    }
  }
  if (options.shapes.empty()) {
    options.shapes = {{4, 512, 9, 3, 64, 64},
                      {1, 512, 9, 3, 64, 64},
                      {1, 2048, 32, 8, 128, 128},
                      {1, 150, 9, 3, 64, 64}};
  }
  if (options.types.empty()) options.types = {at::kBFloat16};
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  for (const Shape& shape : options.shapes) {
    for (const auto type : options.types) run(shape, type, options);
  }
  return 0;
}

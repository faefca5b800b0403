// How fast a model folder runs forward without a graph, hidden states and logits of every position.
//   forward_bench MODEL [--dtype fp32|bf16] [--rows N] [--length N] [--rounds N]
// Prints one line: median tokens per second of the hidden states, the same with logits.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <string>
#include <vector>

#include <c10/core/GradMode.h>

#include <ATen/ops/randint.h>

#include <distill/models/load.h>
#include <distill/models/logits.h>

namespace {

double median_seconds(int rounds, const auto& body) {
  std::vector<double> seconds;
  body();  // sets up
  for (int i = 0; i < rounds; ++i) {
    const auto began = std::chrono::steady_clock::now();
    body();
    seconds.push_back(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());
  }
  std::nth_element(seconds.begin(), seconds.begin() + rounds / 2, seconds.end());
  return seconds[static_cast<std::size_t>(rounds) / 2];
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::cerr << "forward_bench MODEL [--dtype fp32|bf16] [--rows N] [--length N] [--rounds N]\n";
    return 2;
  }
  auto dtype = at::kBFloat16;
  std::int64_t rows = 4, length = 512;
  int rounds = 5;
  for (int i = 2; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    if (name == "--dtype")
      dtype = std::strcmp(argv[i + 1], "fp32") == 0 ? at::kFloat : at::kBFloat16;
    if (name == "--rows") rows = std::atoll(argv[i + 1]);
    if (name == "--length") length = std::atoll(argv[i + 1]);
    if (name == "--rounds") rounds = std::atoi(argv[i + 1]);
  }
  const auto model = distill::models::load_causal_lm(argv[1], {.dtype = dtype});
  std::vector<std::vector<std::int64_t>> sequences;
  for (std::int64_t row = 0; row < rows; ++row) {
    const at::Tensor ids = at::randint(model->shape().vocab_size, {length}, at::kLong);
    const auto* data = ids.const_data_ptr<std::int64_t>();
    sequences.emplace_back(data, data + length);
  }
  const auto input = distill::types::pack(sequences);
  const c10::NoGradGuard no_graph;
  const auto tokens = static_cast<double>(rows * length);
  const double hidden = median_seconds(rounds, [&] { model->forward(input); });
  const double logits = median_seconds(rounds, [&] {
    const auto output = model->forward(input);
    distill::models::logits(output, output.hidden);
  });
  std::cout << "{\"hidden_tokens_per_second\": " << tokens / hidden
            << ", \"logits_tokens_per_second\": " << tokens / logits << "}\n";
  return 0;
}

// A training program of somebody else's: their own torch::nn modules, libdistill's loss.
#include <cstdio>
#include <cstdlib>

#include <torch/torch.h>

#include <distill/losses/cross_entropy.h>
#include <distill/losses/forward_kl.h>
#include <distill/losses/weighted_sum.h>

namespace {

constexpr int64_t kVocabulary = 97;

struct TinyModelImpl : torch::nn::Module {
  explicit TinyModelImpl(int64_t width)
      : embedding(register_module("embedding", torch::nn::Embedding(kVocabulary, width))),
        mixer(register_module("mixer", torch::nn::Linear(width, width))),
        head(register_module(
            "head", torch::nn::Linear(torch::nn::LinearOptions(width, kVocabulary).bias(false)))) {}

  distill::types::ModelOutput forward(const torch::Tensor& ids) {
    return {torch::tanh(mixer(embedding(ids))), head->weight, {}};
  }

  torch::nn::Embedding embedding;
  torch::nn::Linear mixer;
  torch::nn::Linear head;
};
TORCH_MODULE(TinyModel);

std::unique_ptr<distill::losses::Loss> make_loss() {
  using namespace distill::losses;
  std::vector<std::unique_ptr<Loss>> terms;
  terms.push_back(std::make_unique<ForwardKl>(ForwardKlOptions{.weight = 0.7, .temperature = 2.0}));
  terms.push_back(std::make_unique<CrossEntropy>(CrossEntropyOptions{.weight = 0.3}));
  return make_weighted_sum(std::move(terms));
}

}  // namespace

int main() {
  torch::manual_seed(1);
  TinyModel teacher(32);
  TinyModel student(16);
  const auto loss = make_loss();
  torch::optim::AdamW optimizer(student->parameters(), torch::optim::AdamWOptions(3e-2));
  const auto ids = torch::randint(kVocabulary, {64}, torch::kLong);
  const auto labels = torch::randint(kVocabulary, {64}, torch::kLong);

  double first = 0;
  double last = 0;
  for (int step = 0; step < 10; ++step) {
    distill::types::TeacherSignal signal;
    {
      const torch::NoGradGuard no_graph;
      const auto output = teacher->forward(ids);
      signal = distill::types::DenseHidden{output.hidden, output.head, output.transform};
    }
    const auto value = (*loss)({student->forward(ids), signal, labels, torch::Tensor()});
    const auto mean = value.sum / value.count;
    optimizer.zero_grad();
    mean.backward();
    optimizer.step();
    last = mean.item<double>();
    if (step == 0) first = last;
    std::printf("step %d  loss %.4f\n", step + 1, last);
  }
  if (!(last < first)) {
    std::fprintf(stderr, "the loss did not fall: %.4f -> %.4f\n", first, last);
    return EXIT_FAILURE;
  }
  return EXIT_SUCCESS;
}

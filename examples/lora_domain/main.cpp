// lora_domain MODEL DATA.jsonl OUT [STEPS]: a rank-16 adapter for your domain, in your own loop.
#include <cstdio>
#include <cstdlib>

#include <torch/torch.h>

#include <distill/data/batch_stream.h>
#include <distill/lora/choose.h>
#include <distill/lora/initialise.h>
#include <distill/lora/peft.h>
#include <distill/losses/cross_entropy.h>
#include <distill/models/check.h>
#include <distill/models/fingerprint.h>
#include <distill/text/chat_template.h>
#include <distill/text/tokenizer.h>
#include <distill/train/builtins.h>

using namespace distill;

int train_adapter(const char* model_folder, const char* data_file, const char* out, int steps) {
  const auto log = core::make_console_logger({});
  const auto tokenizer = text::load_tokenizer(model_folder);
  const auto chat = text::load_chat_template(model_folder, "auto");
  const auto dataset = data::Dataset::load({{data_file, 1.0}}, {.sequence_length = 256}, *tokenizer,
                                           chat.get(), *log);
  data::BatchStream batches(dataset, {.seed = 17});

  const lora::LoraOptions options{.rank = 16, .dropout = 0.05};
  const auto sites = models::describe_causal_lm(model_folder, {}).adapter_sites;
  const auto model = models::load_causal_lm(
      model_folder, {.dtype = torch::kBFloat16, .adapters = choose(options, sites)});
  lora::initialise(*model, options.init, 17);
  const auto trained = lora::parameters(*model);
  const auto optimizer = train::make_adamw({.lr = 5e-4}, trained);
  const losses::CrossEntropy loss({});

  for (int step = 0; step < steps; ++step) {
    const types::Batch batch = batches.next();
    if (batch.num_targets == 0) continue;
    model->adapter_switch()->dropout_seed = static_cast<std::uint64_t>(step);
    const auto value = loss({model->forward(batch.input), {}, batch.labels, batch.loss_mask});
    (value.sum / value.count).backward();
    std::vector<at::Tensor> gradients;
    for (const auto& parameter : trained) gradients.push_back(parameter.tensor.grad());
    optimizer->step(gradients, 1.0, 1.0);
    for (const auto& parameter : trained) parameter.tensor.mutable_grad().reset();
    std::printf("step %d  loss %.4f\n", step + 1, (value.sum / value.count).item<double>());
  }
  lora::save_adapter(*model, out, {model_folder, models::fingerprint(model_folder)});
  return EXIT_SUCCESS;
}

int main(int argc, char** argv) try {
  if (argc < 4) return std::fprintf(stderr, "lora_domain MODEL DATA.jsonl OUT [STEPS]\n"), 2;
  return train_adapter(argv[1], argv[2], argv[3], argc > 4 ? std::atoi(argv[4]) : 100);
} catch (const std::exception& error) {
  std::fprintf(stderr, "error: %s\n", error.what());
  return EXIT_FAILURE;
}

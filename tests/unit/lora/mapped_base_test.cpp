// A base that is stored as it is used stays in its file: read-only, and shared by all runs of the
// machine.
#include <cinttypes>
#include <cstdio>
#include <fstream>

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <distill/lora/choose.h>
#include <distill/lora/initialise.h>
#include <distill/models/check.h>
#include <distill/models/save.h>

#include "unit/lora/reference_adapters.h"

namespace distill::lora {
namespace {

/// What the system says of one mapping of a file.
struct Mapping {
  std::uintptr_t begin = 0, end = 0;
  std::string rights;         ///< r--p
  std::int64_t own_kib = -1;  ///< pages that are this process's alone, written to
};

/// The mappings of `path` in this process, from /proc/self/smaps.
std::vector<Mapping> mappings_of(const std::filesystem::path& path) {
  std::ifstream smaps("/proc/self/smaps");
  std::vector<Mapping> mappings;
  bool inside = false;
  for (std::string line; std::getline(smaps, line);) {
    Mapping mapping;
    char rights[5] = {};
    std::int64_t kib = 0;
    if (std::sscanf(line.c_str(), "%" SCNxPTR "-%" SCNxPTR " %4s", &mapping.begin, &mapping.end,
                    rights) == 3) {
      inside = line.ends_with(path.string());
      mapping.rights = rights;
      if (inside) mappings.push_back(mapping);
    } else if (inside && std::sscanf(line.c_str(), "Private_Dirty: %" SCNd64, &kib) == 1) {
      mappings.back().own_kib = kib;
    }
  }
  return mappings;
}

class MappedBase : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto source = distill::testing::tiny_llama("untied");
    const auto model = models::load_causal_lm(source, {});
    models::save_causal_lm(*model, base, {.base_folder = source, .dtype = at::kBFloat16});
  }
  std::shared_ptr<models::CausalLm> with_adapters(models::LoadOptions load) const {
    LoraOptions options;
    options.rank = 4;
    load.dtype = at::kBFloat16;
    load.adapters = choose(options, models::describe_causal_lm(base, {}).adapter_sites);
    auto model = models::load_causal_lm(base, load);
    initialise(*model, Init::kKaiming, 3);
    return model;
  }
  /// Parameters that lie in the file's mapping.
  std::int64_t count_mapped(const models::CausalLm& model) const {
    const auto mappings = mappings_of(weights);
    return std::ranges::count_if(model.parameters(), [&](const auto& parameter) {
      const auto place = reinterpret_cast<std::uintptr_t>(parameter.tensor.const_data_ptr());
      return std::ranges::any_of(
          mappings, [&](const Mapping& m) { return m.begin <= place && place < m.end; });
    });
  }

  distill::testing::TempFolder folder;
  std::filesystem::path base = folder / "base", weights = base / "model.safetensors";
};

TEST_F(MappedBase, TrainingAnAdapterLeavesEveryPageShared) {
  const auto model = with_adapters({});
  const auto output = model->forward(types::single_sequence(at::arange(20)));
  models::logits(output, output.hidden).to(at::kFloat).square().mean().backward();
  for (const auto& parameter : parameters(*model)) {
    EXPECT_TRUE(parameter.tensor.grad().defined()) << parameter.name;
  }
  EXPECT_EQ(count_mapped(*model), std::ssize(model->parameters()));
  const auto mappings = mappings_of(weights);
  ASSERT_FALSE(mappings.empty());
  for (const Mapping& mapping : mappings) {
    EXPECT_EQ(mapping.rights[1], '-') << mapping.rights;
    EXPECT_EQ(mapping.own_kib, 0);
  }
}

TEST_F(MappedBase, AQuantisedOneIsPrivate) {
  const auto model = with_adapters({.quantize = ops::WeightFormat::kNf4});
  // Embedding, head and norms stay where they are; what is quantised is no parameter any more.
  EXPECT_EQ(count_mapped(*model), std::ssize(model->parameters()));
  EXPECT_GT(model->quantization()->bytes, 0U);
}

}  // namespace
}  // namespace distill::lora

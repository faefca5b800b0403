#pragma once

#include <filesystem>
#include <map>
#include <string>

#include <distill/io/safetensors.h>
#include <distill/lora/peft.h>
#include <distill/models/logits.h>
#include <distill/types/model_input.h>

#include "support/model_folders.h"
#include "support/temp_folder.h"
#include "support/tensor_compare.h"

namespace distill::lora::testing {

namespace fs = std::filesystem;

/// An adapter that PEFT saved (tests/reference/gen_lora.py) and its base.
struct ReferenceAdapter {
  explicit ReferenceAdapter(const std::string& name)
      : folder(fs::path(DISTILL_SOURCE_DIR) / "tests/reference/lora" / name),
        values(distill::testing::read_tensors(folder / "reference.safetensors")),
        base(distill::testing::tiny_llama(
            io::SafetensorsFile::open(folder / "reference.safetensors").metadata().at("base"))) {}

  std::shared_ptr<models::CausalLm> load(c10::ScalarType dtype = at::kFloat,
                                         bool trainable = false) const {
    return load_with_adapter(base, folder, {.dtype = dtype}, {.trainable = trainable});
  }

  fs::path folder;
  std::map<std::string, at::Tensor> values;
  fs::path base;
};

inline at::Tensor logits_of(models::CausalLm& model, const at::Tensor& ids) {
  const auto output = model.forward(types::single_sequence(ids));
  return models::logits(output, output.hidden).detach();
}

/// The largest relative error over the reference's sequences.
inline double error_of(models::CausalLm& model, const ReferenceAdapter& reference) {
  double worst = 0;
  for (const char* number : {"0", "1", "2"}) {
    const at::Tensor got = logits_of(model, reference.values.at(std::string("ids_") + number));
    const at::Tensor& expected = reference.values.at(std::string("logits_") + number);
    worst = std::max(worst, distill::testing::relative_error(got, expected));
  }
  return worst;
}

}  // namespace distill::lora::testing

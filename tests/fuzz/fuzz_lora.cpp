#include <filesystem>
#include <fstream>
#include <stdexcept>

#include <ATen/ops/arange.h>
#include <c10/core/GradMode.h>

#include <distill/core/error.h>
#include <distill/lora/peft.h>
#include <distill/types/model_input.h>

#include "fuzz/fuzz.h"
#include "support/temp_folder.h"

namespace distill::fuzz {

namespace {

namespace fs = std::filesystem;

/// With one adapter's tensors no more than the file can hold.
void check_sizes(const lora::AdapterConfig& config, std::size_t bytes_of_tensors) {
  if (config.num_parameters < 0 ||
      static_cast<std::size_t>(config.num_parameters) > bytes_of_tensors) {
    throw std::logic_error("more parameters than bytes");
  }
}

}  // namespace

void adapter(std::string_view bytes) {
  if (bytes.empty()) return;
  static const fs::path references = fs::path(DISTILL_SOURCE_DIR) / "tests/reference";
  static const fs::path good = references / "lora/patterns";
  constexpr const char* kFiles[] = {"adapter_config.json", "adapter_model.safetensors"};
  const auto which = static_cast<unsigned char>(bytes[0]) % 2;
  const testing::TempFolder folder;
  fs::copy_file(good / kFiles[1 - which], folder / kFiles[1 - which]);
  std::ofstream(folder / kFiles[which], std::ios::binary) << bytes.substr(1);
  try {
    check_sizes(lora::read_adapter_config(folder.path()), fs::file_size(folder / kFiles[1]));
    const c10::NoGradGuard no_graph;
    const auto model = lora::load_with_adapter(references / "llama/untied", folder.path(), {});
    model->forward(types::single_sequence(at::arange(3)));
  } catch (const InputError&) {
  }
}

}  // namespace distill::fuzz

#include <distill/commands/model_source.h>

#include <distill/lora/peft.h>

namespace distill::commands {

std::shared_ptr<models::CausalLm> load_model(const std::filesystem::path& model,
                                             const AdapterSource& adapter,
                                             const models::LoadOptions& options) {
  if (adapter.folder.empty()) return models::load_causal_lm(model, options);
  return lora::load_with_adapter(model, adapter.folder, options, {.any_base = adapter.any_base});
}

std::shared_ptr<models::CausalLm> load_model(const ModelSource& source, core::Logger& log) {
  return load_model(source.model, source.adapter,
                    {.dtype = source.dtype,
                     .device = recipe::choose_device(source.device),
                     .quantize = source.quantize,
                     .available_memory = source.available_memory,
                     .log = &log});
}

}  // namespace distill::commands

#include <distill/lora/adapter_source.h>

#include <distill/lora/peft.h>

namespace distill::lora {

std::shared_ptr<models::CausalLm> load_model(const std::filesystem::path& model,
                                             const AdapterSource& adapter,
                                             const models::LoadOptions& options) {
  if (adapter.folder.empty()) return models::load_causal_lm(model, options);
  return load_with_adapter(model, adapter.folder, options, {.any_base = adapter.any_base});
}

}  // namespace distill::lora

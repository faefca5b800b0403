#include <distill/commands/model_source.h>

namespace distill::commands {

std::shared_ptr<models::CausalLm> load_model(const ModelSource& source, core::Logger& log) {
  return lora::load_model(source.model, source.adapter,
                          {.dtype = source.dtype,
                           .device = recipe::choose_device(source.device),
                           .quantize = source.quantize,
                           .available_memory = source.available_memory,
                           .log = &log});
}

}  // namespace distill::commands

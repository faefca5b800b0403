#include <memory>
#include <string>

#include <distill/core/byte_size.h>
#include <distill/lora/export_model.h>

#include "commands.h"
#include "model_arguments.h"

namespace distill::cli {

void add_export(CLI::App& cli, Action& action) {
  auto* app = cli.add_subcommand("export", "Write a model folder anew: other dtype, other shards");
  auto options = std::make_shared<lora::ExportOptions>();
  app->add_option("--model", options->model, "Model folder")->required();
  add_adapter(*app, options->adapter, "Adapter folder to merge into the weights");
  app->add_option("--out", options->out, "Folder to write")->required();
  app->add_flag("--force", options->force, "Replace the folder if it exists");
  add_dtype(*app, options->dtype);
  add_ignore_memory(*app, options->available_memory);
  const auto set_shard_size = [options](const std::string& text) {
    const auto bytes = core::parse_byte_size(text);
    if (!bytes || *bytes == 0) {
      throw CLI::ValidationError("--max-shard-size", "is `" + text + "`, expected a size as 5GB");
    }
    options->max_shard_bytes = *bytes;
  };
  app->add_option_function<std::string>("--max-shard-size", set_shard_size,
                                        "Split the weights into files of at most this size (5GB)");
  app->callback([&action, options] {
    action = [options](core::Logger& log) {
      lora::export_model(*options, log);
      return 0;
    };
  });
}

}  // namespace distill::cli

#pragma once

#include <memory>
#include <string>

#include <CLI/CLI.hpp>

#include <distill/core/log.h>
#include <distill/core/stop_flag.h>
#include <distill/generation/text_generator.h>

#include "limits.h"

namespace distill::cli {

/// What only a model that is served has.
struct ServerArguments {
  generation::ServerGeneratorOptions generator;
  std::string api_key_env;
};

/// A generator, local or served, as its arguments describe it.
struct GeneratorArguments {
  generation::LocalGeneratorOptions local;
  ServerArguments server;
};

std::shared_ptr<GeneratorArguments> add_generator(CLI::App& app);

/// The generator that the arguments describe. Reads the server's key from the environment; throws
/// InputError where the variable that was named is not set.
std::unique_ptr<generation::TextGenerator> make_generator(GeneratorArguments& arguments,
                                                          const core::StopFlag* stop,
                                                          core::Logger& log);

/// What commands that write rows for a long time have in common; `Options` of one of them.
template <class Options>
void add_parts(CLI::App& app, Options& options) {
  app.add_option("--seed", options.seed, "Same seed, same texts");
  app.add_option("--rows-at-once", options.rows_at_once, "Rows of a part; a stop costs one part")
      ->check(positive());
  app.add_flag("--restart", options.restart, "Begin anew where an unfinished run is");
}

}  // namespace distill::cli

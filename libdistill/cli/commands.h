#pragma once

#include <functional>

#include <CLI/CLI.hpp>

#include <distill/core/log.h>

namespace distill::cli {

/// A parsed sub-command, ready to run; returns the exit code.
using Action = std::function<int(core::Logger&)>;

/// Each adds its sub-command, which sets `action` when it is the one that was given. They stand in
/// files of their names.
void add_augment(CLI::App& cli, Action& action);
void add_cache(CLI::App& cli, Action& action);
void add_eval(CLI::App& cli, Action& action);
void add_export(CLI::App& cli, Action& action);
void add_generate(CLI::App& cli, Action& action);
void add_generate_data(CLI::App& cli, Action& action);
void add_inspect(CLI::App& cli, Action& action);
void add_layers(CLI::App& cli, Action& action);
void add_logits(CLI::App& cli, Action& action);
void add_report(CLI::App& cli, Action& action);
void add_teacher(CLI::App& cli, Action& action);
void add_tokenize(CLI::App& cli, Action& action);

}  // namespace distill::cli

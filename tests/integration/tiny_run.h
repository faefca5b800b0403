#pragma once

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <distill/core/hash.h>
#include <distill/io/json_value.h>

#include "support/program.h"
#include "support/temp_folder.h"

namespace distill::testing {

inline std::filesystem::path tiny_model() {
  return std::filesystem::path(DISTILL_SOURCE_DIR) / "tests/reference/tiny_llama";
}

/// A recipe that distils the tiny reference model into two of its layers, in a folder of its own.
class TinyRun {
 public:
  TinyRun() {
    std::ofstream(recipe()) << "name: tiny\n"
                               "output: "
                            << output().string()
                            << "\n"
                               "seed: 3\n"
                               "device: cpu\n"
                               "precision: fp32\n"
                               "student:\n"
                               "  init: {from: teacher, keep_layers: 2}\n"
                               "teacher: {kind: local, model: "
                            << tiny_model().string()
                            << "}\n"
                               "data:\n"
                               "  train: [{path: "
                            << (tiny_model() / "train.jsonl").string()
                            << "}]\n"
                               "  eval: [{path: "
                            << (tiny_model() / "eval.jsonl").string()
                            << "}]\n"
                               "  sequence_length: 48\n"
                               "loss:\n"
                               "  - {kind: forward_kl, weight: 0.7, temperature: 2.0}\n"
                               "  - {kind: cross_entropy, weight: 0.3}\n"
                               "train:\n"
                               "  steps: 10\n"
                               "  batch_size: 4\n"
                               "  micro_batch_size: 2\n"
                               "  optimizer: {kind: adamw, lr: 3.0e-3}\n"
                               "  schedule: {kind: cosine, warmup_steps: 2}\n"
                               "checkpoint: {every: 1, keep: 2}\n";
  }

  std::filesystem::path recipe() const { return folder_ / "tiny.yaml"; }
  std::filesystem::path output() const { return folder_ / "run"; }
  const std::filesystem::path& folder() const { return folder_.path(); }

  /// Its token cache is in the folder too, unless the environment names another.
  ProgramResult train(const std::vector<std::string>& more = {},
                      ProgramOptions options = {}) const {
    options.environment.emplace("XDG_CACHE_HOME", (folder_ / "cache").string());
    std::vector<std::string> arguments = {DISTILL_TRAIN_BINARY, recipe().string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program(arguments, options);
  }

  std::string final_weights_hash() const {
    return core::hash_file(output() / "final/model.safetensors");
  }

 private:
  TempFolder folder_;
};

/// Every line of stderr that is an error.
inline std::vector<std::string> error_lines(const ProgramResult& result) {
  std::vector<std::string> lines;
  std::istringstream text(result.err);
  for (std::string line; std::getline(text, line);) {
    if (line.starts_with("error: ")) lines.push_back(line);
  }
  return lines;
}

}  // namespace distill::testing

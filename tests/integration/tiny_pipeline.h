#pragma once

#include "integration/tiny_run.h"

namespace distill::testing {

/// Four layers of the tiny reference model become three, with a gate that asks for another try, and
/// those two; through the program.
class TinyPipeline {
 public:
  TinyPipeline() {
    std::ofstream(recipe()) << "name: tiny\noutput: " << output().string()
                            << "\ndevice: cpu\n"
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
                               "loss: [{kind: forward_kl}]\n"
                               "train: {steps: 3, batch_size: 2, optimizer: {lr: 3.0e-3}}\n"
                               "checkpoint: {every: 1}\n"
                               "stages:\n"
                               "  - name: three\n"
                               "    student: {init: {from: teacher, keep_layers: 3}}\n"
                               "    gates:\n"
                               "      - require: perplexity < 0\n"  // never
                               "        on_failure: warn\n"
                               "  - name: two\n"
                               "    student: {init: {from: teacher, keep_layers: 2}}\n"
                               "    teacher: {model: \"${stages.three.output}\"}\n";
  }

  std::filesystem::path recipe() const { return folder_ / "tiny.yaml"; }
  std::filesystem::path output() const { return folder_ / "chain"; }
  std::filesystem::path in(const std::string& name) const { return output() / name; }
  const std::filesystem::path& folder() const { return folder_.path(); }

  ProgramResult train(const std::vector<std::string>& more = {},
                      ProgramOptions options = {}) const {
    options.environment.emplace("XDG_CACHE_HOME", (folder_ / "cache").string());
    std::vector<std::string> arguments = {DISTILL_TRAIN_BINARY, recipe().string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program(arguments, options);
  }
  /// Of the models of both stages.
  std::string hashes() const {
    return core::hash_file(in("stages/three/final/model.safetensors")) + " " +
           core::hash_file(in("final/model.safetensors"));
  }

 private:
  TempFolder folder_;
};

}  // namespace distill::testing

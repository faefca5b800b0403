#pragma once

#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <distill/core/hash.h>
#include <distill/pipeline/pipeline_plan.h>
#include <distill/pipeline/run_pipeline.h>
#include <distill/recipe/read.h>
#include "unit/pipeline/tiny_run.h"

namespace distill::pipeline::testing {

/// Asks for a stop when a line holds this.
class StoppingLogger : public core::Logger {
 public:
  StoppingLogger(core::StopFlag& stop, std::string at) : stop_(stop), at_(std::move(at)) {}
  void write(core::LogLevel, std::string_view message) override {
    if (message.find(at_) != std::string_view::npos) stop_.request(15);
  }

 private:
  core::StopFlag& stop_;
  std::string at_;
};

/// Four layers of the tiny Llama become three, and those two, in some seconds.
class TinyChain {
 public:
  TinyChain() : registries(recipe::builtin_registries()) {
    fs::copy_file(kModel / "train.jsonl", train_file());
    fs::create_directories(folder / "scratch");
  }

  fs::path train_file() const { return folder / "train.jsonl"; }
  fs::path output() const { return folder / "chain"; }
  fs::path in_chain(const std::string& name) const { return output() / name; }

  /// The part that all stages share, up to the list.
  std::string head() const {
    return core::concat("name: chain\noutput: ", output().string(),
                        "\ndevice: cpu\n"
                        "teacher: {kind: local, model: ",
                        kModel.string(),
                        "}\n"
                        "data:\n"
                        "  train: [{path: ",
                        train_file().string(),
                        "}]\n"
                        "  eval: [{path: ",
                        (kModel / "eval.jsonl").string(),
                        "}]\n"
                        "  sequence_length: 64\n"
                        "loss: [{kind: forward_kl}]\n"
                        "train: {steps: 6, batch_size: 2, optimizer: {kind: adamw, lr: 3.0e-3}}\n"
                        "checkpoint: {every: 2}\n"
                        "stages:\n");
  }
  static std::string two_stages() {
    return "  - name: three\n"
           "    student: {init: {from: teacher, keep_layers: 3}}\n"
           "  - name: two\n"
           "    student: {init: {from: teacher, keep_layers: 2}}\n"
           "    teacher: {model: \"${stages.three.output}\"}\n";
  }

  recipe::PipelineRecipe recipe(const std::string& stages,
                                const std::vector<std::string>& overrides = {}) const {
    return std::get<recipe::PipelineRecipe>(
        recipe::read_for_plan(head() + stages, "chain.yaml", overrides, registries));
  }
  RunOptions options() const {
    RunOptions options;
    options.stop = &stop;
    options.quiet = true;
    options.scratch_folder = folder / "scratch";
    return options;
  }
  PipelineResult run(const std::string& stages = two_stages(),
                     const std::vector<std::string>& overrides = {},
                     const std::vector<std::string>& redo = {}) {
    log.lines.clear();
    return run_pipeline(recipe(stages, overrides), redo, options(), log);
  }
  PipelinePlan plan(const std::string& stages = two_stages(),
                    const std::vector<std::string>& overrides = {}) {
    return plan_pipeline(recipe(stages, overrides), {}, options(), log);
  }
  std::string weights(const std::string& stage) const {
    return core::hash_file(in_chain("stages/" + stage + "/final/model.safetensors"));
  }

  TempFolder folder;
  recipe::Registries registries;
  RecordingLogger log;
  core::StopFlag stop;
};

}  // namespace distill::pipeline::testing

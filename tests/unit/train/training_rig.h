#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/nonzero.h>

#include <distill/core/files.h>
#include <distill/core/random.h>
#include <distill/dist/communicator.h>
#include <distill/models/logits.h>
#include <distill/train/builtins.h>
#include <distill/train/trainer.h>

#include "support/byte_tokenizer.h"
#include "support/temp_folder.h"
#include "support/toy_model.h"

namespace distill::testing {

/// Cross-entropy and forward KL in plain operations, half each; `before` may do harm to the sum.
class PlainLoss final : public losses::Loss {
 public:
  bool with_teacher = false;
  std::vector<std::string> to_warn_of;
  std::function<void(std::int64_t call, at::Tensor& sum)> before_return;

  std::string name() const override { return "plain"; }
  bool needs_teacher() const override { return with_teacher; }
  std::vector<std::string> warnings(const types::TeacherSignal&) const override {
    return to_warn_of;
  }
  types::LossValue operator()(const losses::LossInput& input) const override {
    const at::Tensor rows = at::nonzero(input.mask).squeeze(1);
    const at::Tensor student = log_probs(input.student, rows);
    const at::Tensor labels = input.labels.index_select(0, rows);
    types::LossValue value;
    value.count = rows.size(0);
    value.sum = -student.gather(1, labels.unsqueeze(1)).sum();
    value.parts.push_back({"cross_entropy", value.sum.detach()});
    if (with_teacher) {
      const auto& dense = std::get<types::DenseHidden>(input.teacher);
      const at::Tensor teacher = log_probs({dense.hidden, dense.head, dense.transform}, rows);
      const at::Tensor kl = (teacher.exp() * (teacher - student)).sum();
      value.parts.push_back({"forward_kl", kl.detach()});
      value.sum = value.sum * 0.5 + kl * 0.5;
    }
    if (before_return) before_return(calls_, value.sum);
    ++calls_;
    return value;
  }

 private:
  static at::Tensor log_probs(const types::ModelOutput& output, const at::Tensor& rows) {
    return at::log_softmax(models::logits(output, output.hidden.index_select(0, rows)), 1);
  }
  mutable std::int64_t calls_ = 0;
};

class ToyTeacher final : public teachers::Teacher {
 public:
  explicit ToyTeacher(models::CausalLm& model) : model_(model) {}
  types::TeacherSignal signal(const types::Batch& batch) override {
    const types::ModelOutput output = model_.forward(batch.input);
    return types::DenseHidden{output.hidden, output.head, output.transform};
  }
  std::optional<types::LayerShape> layer_shape() const override {
    return types::LayerShape{model_.shape().num_layers, model_.shape().hidden_size};
  }
  teachers::SignalWithLayers signal_with_layers(const types::Batch& batch,
                                                const types::LayerRequest& wanted) override {
    types::ModelOutput output = model_.forward_with_layers(batch.input, wanted);
    return {types::DenseHidden{output.hidden, output.head, output.transform}, output.layers};
  }
  std::string describe() const override { return "toy"; }

 private:
  models::CausalLm& model_;
};

class RecordingSink final : public metrics::Sink {
 public:
  std::vector<metrics::Values> steps;
  std::vector<std::pair<std::string, metrics::Values>> events;
  void step(const metrics::Values& values) override { steps.push_back(values); }
  void event(const std::string& event, const metrics::Values& values) override {
    events.emplace_back(event, values);
  }
};

inline double number(const metrics::Values& values, const std::string& name) {
  for (const auto& [key, value] : values) {
    if (key != name) continue;
    if (const auto* real = std::get_if<double>(&value)) return *real;
    return static_cast<double>(std::get<std::int64_t>(value));
  }
  ADD_FAILURE() << "no value `" << name << "`";
  return 0;
}

/// Each text in a row of its own.
inline std::shared_ptr<const data::Dataset> make_dataset(const std::vector<std::string>& texts) {
  const TempFolder folder;
  std::string lines;
  for (const auto& text : texts) lines += "{\"text\": \"" + text + "\"}\n";
  core::write_file_atomically(folder / "train.jsonl", lines);
  data::DataOptions options;
  options.sequence_length = 24;
  options.packing = false;
  const auto log = core::make_null_logger();
  return data::Dataset::load({{(folder / "train.jsonl").string(), 1.0}}, options, ByteTokenizer(),
                             nullptr, *log);
}

/// 37 or more rows of different lengths.
inline std::shared_ptr<const data::Dataset> toy_dataset() {
  static const std::shared_ptr<const data::Dataset> dataset = [] {
    const std::vector<std::string> words = {"red ", "blue ", "green ", "one ", "two "};
    std::vector<std::string> texts;
    core::RandomState random(5);
    for (int i = 0; i < 37; ++i) {
      std::string text;
      for (std::uint64_t left = 1 + random.below(4); left > 0; --left) {
        text += words[random.below(words.size())];
      }
      texts.push_back(text);
    }
    return make_dataset(texts);
  }();
  return dataset;
}

/// Everything a trainer works with, around a toy model; two rigs of the same settings are equal.
struct TrainingRig {
  struct Settings {
    at::ScalarType dtype = at::kFloat;
    train::TrainerOptions train = {.steps = 10, .batch_size = 8, .micro_batch_size = 2};
    bool with_teacher = false;
    std::optional<std::filesystem::path> checkpoints;
    std::shared_ptr<const data::Dataset> dataset = toy_dataset();
    dist::Communicator* ranks = nullptr;
  };

  explicit TrainingRig(const Settings& settings_in)
      : settings(settings_in),
        student({.seed = 3, .dtype = settings.dtype}),
        teacher_model({.hidden_size = 6, .seed = 4}),
        teacher(teacher_model),
        single(dist::make_single()),
        ranks(settings.ranks != nullptr ? *settings.ranks : *single),
        optimizer(train::make_adamw({.lr = 0.05, .weight_decay = 0.01}, student.parameters())),
        batches(settings.dataset, {.seed = 11,
                                   .rows_per_batch = settings.train.micro_batch_size,
                                   .rank = ranks.rank(),
                                   .num_ranks = ranks.size()}) {
    at::set_num_threads(1);  // waking threads costs more than these models do
    loss.with_teacher = settings.with_teacher;
    if (settings.checkpoints) store.emplace(*settings.checkpoints);
  }

  train::TrainerParts parts() {
    return {.student = student,
            .trainable = student.parameters(),
            .teacher = settings.with_teacher ? &teacher : nullptr,
            .loss = loss,
            .optimizer = *optimizer,
            .batches = batches,
            .ranks = ranks,
            .checkpoints = store ? &*store : nullptr,
            .sinks = {&sink},
            .stop = &stop,
            .log = *log,
            .after_step = after_step};
  }
  train::Trainer trainer() { return {settings.train, parts()}; }

  /// Weights as the model has them and the optimizer's whole state, copied.
  std::vector<io::NamedTensor> snapshot() const {
    std::vector<io::NamedTensor> tensors;
    for (const auto& [name, tensor] : student.parameters()) {
      tensors.emplace_back(name, tensor.detach().clone());
    }
    for (const auto& [name, tensor] : optimizer->state()) {
      tensors.emplace_back(name, tensor.clone());
    }
    return tensors;
  }

  Settings settings;
  ToyModel student;
  ToyModel teacher_model;
  ToyTeacher teacher;
  PlainLoss loss;
  std::unique_ptr<dist::Communicator> single;
  dist::Communicator& ranks;
  std::unique_ptr<train::Optimizer> optimizer;
  data::BatchStream batches;
  std::optional<io::CheckpointStore> store;
  RecordingSink sink;
  core::StopFlag stop;
  std::unique_ptr<core::Logger> log = core::make_null_logger();
  std::function<void(std::int64_t)> after_step;
};

/// Bit for bit.
inline void expect_same(const std::vector<io::NamedTensor>& a,
                        const std::vector<io::NamedTensor>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].first, b[i].first);
    EXPECT_TRUE(a[i].second.equal(b[i].second)) << a[i].first;
  }
}

}  // namespace distill::testing

#include <distill/teachers/local_teacher.h>

#include <iomanip>

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

#include <distill/core/error.h>
#include <distill/core/strings.h>
#include <distill/types/teacher_tokens.h>

namespace distill::teachers {

namespace {

const char* dtype_name(c10::ScalarType dtype) {
  return dtype == c10::ScalarType::BFloat16 ? "bf16" : "fp32";
}

class LocalTeacher final : public Teacher {
 public:
  LocalTeacher(std::shared_ptr<models::CausalLm> model, std::string name)
      : model_(std::move(model)), name_(std::move(name)) {}

  types::TeacherSignal signal(const types::Batch& batch) override {
    return signal_with_layers(batch, {}).signal;
  }

  std::optional<types::LayerShape> layer_shape() const override {
    return types::LayerShape{model_->shape().num_layers, model_->shape().hidden_size};
  }

  SignalWithLayers signal_with_layers(const types::Batch& batch,
                                      const types::LayerRequest& wanted) override {
    const c10::NoGradGuard no_graph;
    if (batch.teacher_tokens != nullptr) {
      if (!wanted.empty()) {
        fail<TeacherError>("the teacher ", name_,
                           " has another tokenizer than the student: its inner layers are of other "
                           "positions and cannot be compared");
      }
      return {aligned_chunks(batch), {}};
    }
    types::ModelOutput output = wanted.empty() ? model_->forward(batch.input)
                                               : model_->forward_with_layers(batch.input, wanted);
    return {types::DenseHidden{std::move(output.hidden), output.head.detach(), output.transform},
            std::move(output.layers)};
  }

  std::string describe() const override {
    const double millions = static_cast<double>(model_->shape().num_parameters) / 1e6;
    return core::concat(
        "local ", name_, " (", std::fixed, std::setprecision(1), millions, " M parameters, ",
        dtype_name(model_->parameters().front().tensor.scalar_type()), in_few_bits(), ")");
  }

 private:
  /// `, projections in nf4`.
  std::string in_few_bits() const {
    const models::Quantization* quantized = model_->quantization();
    return quantized == nullptr
               ? ""
               : core::concat(", projections in ", ops::name_of(quantized->format));
  }

  /// What it makes of the text in its own tokens.
  types::AlignedChunks aligned_chunks(const types::Batch& batch) {
    const auto& tokens = batch.teacher_tokens;
    if (tokens->num_chunks() == 0) {  // a model takes no input without tokens
      const at::Tensor none =
          at::empty({0}, at::TensorOptions(at::kFloat).device(model_->device()));
      return {tokens, nothing_seen(), none};
    }
    types::ModelOutput output = model_->forward(tokens->input);
    return {tokens,
            types::DenseHidden{std::move(output.hidden), output.head.detach(), output.transform}};
  }

  /// Hidden states of no positions.
  types::DenseHidden nothing_seen() {
    const types::ModelInput one = types::single_sequence(
        at::zeros({1}, at::TensorOptions(at::kLong).device(model_->device())));
    types::ModelOutput output = model_->forward(one);
    return {output.hidden.narrow(0, 0, 0), output.head.detach(), output.transform};
  }

  std::shared_ptr<models::CausalLm> model_;
  std::string name_;
};

}  // namespace

std::unique_ptr<Teacher> make_local_teacher(std::shared_ptr<models::CausalLm> model,
                                            std::string name) {
  return std::make_unique<LocalTeacher>(std::move(model), std::move(name));
}

}  // namespace distill::teachers

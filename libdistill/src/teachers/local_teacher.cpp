#include <distill/teachers/local_teacher.h>

#include <iomanip>

#include <c10/core/GradMode.h>

#include <distill/core/strings.h>

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
    types::ModelOutput output = wanted.empty() ? model_->forward(batch.input)
                                               : model_->forward_with_layers(batch.input, wanted);
    return {types::DenseHidden{std::move(output.hidden), output.head.detach(), output.transform},
            std::move(output.layers)};
  }

  std::string describe() const override {
    const double millions = static_cast<double>(model_->shape().num_parameters) / 1e6;
    return core::concat("local ", name_, " (", std::fixed, std::setprecision(1), millions,
                        " M parameters, ",
                        dtype_name(model_->parameters().front().tensor.scalar_type()), ")");
  }

 private:
  std::shared_ptr<models::CausalLm> model_;
  std::string name_;
};

}  // namespace

std::unique_ptr<Teacher> make_local_teacher(std::shared_ptr<models::CausalLm> model,
                                            std::string name) {
  return std::make_unique<LocalTeacher>(std::move(model), std::move(name));
}

}  // namespace distill::teachers

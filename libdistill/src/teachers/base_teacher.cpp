#include <distill/teachers/base_teacher.h>

#include <utility>

#include <distill/core/error.h>
#include <distill/teachers/local_teacher.h>

namespace distill::teachers {

namespace {

/// Adapters are off while it lives.
class WithoutAdapters {
 public:
  explicit WithoutAdapters(nn::AdapterSwitch& adapters)
      : adapters_(adapters), before_(std::exchange(adapters.enabled, false)) {}
  ~WithoutAdapters() { adapters_.enabled = before_; }
  WithoutAdapters(const WithoutAdapters&) = delete;
  WithoutAdapters& operator=(const WithoutAdapters&) = delete;

 private:
  nn::AdapterSwitch& adapters_;
  bool before_;
};

class BaseTeacher final : public Teacher {
 public:
  explicit BaseTeacher(const std::shared_ptr<models::CausalLm>& student)
      : student_(student), base_(make_local_teacher(student, "base of the student")) {}

  types::TeacherSignal signal(const types::Batch& batch) override {
    const WithoutAdapters off(adapters());
    return base_->signal(batch);
  }
  std::optional<types::LayerShape> layer_shape() const override { return base_->layer_shape(); }
  SignalWithLayers signal_with_layers(const types::Batch& batch,
                                      const types::LayerRequest& wanted) override {
    const WithoutAdapters off(adapters());
    return base_->signal_with_layers(batch, wanted);
  }
  std::string describe() const override { return base_->describe(); }

 private:
  /// Asked for each time: adapters may be merged or added meanwhile.
  nn::AdapterSwitch& adapters() const {
    nn::AdapterSwitch* own = student_->adapter_switch();
    if (own == nullptr) {
      fail<TeacherError>("the student has no adapters any more, so it is no teacher of itself");
    }
    return *own;
  }

  std::shared_ptr<models::CausalLm> student_;
  std::unique_ptr<Teacher> base_;
};

}  // namespace

std::unique_ptr<Teacher> make_base_teacher(std::shared_ptr<models::CausalLm> student) {
  if (student->adapter_switch() == nullptr) {
    fail<ConfigError>("a model without adapters has no base to be its teacher");
  }
  return std::make_unique<BaseTeacher>(student);
}

}  // namespace distill::teachers

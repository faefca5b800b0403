#include <distill/dist/communicator.h>

namespace distill::dist {

namespace {

class Single final : public Communicator {
 public:
  std::int64_t rank() const override { return 0; }
  std::int64_t size() const override { return 1; }
  void all_reduce_sum(std::span<std::int64_t>) override {}
  void all_reduce_sum(std::span<double>) override {}
  void all_reduce_sum(at::Tensor&) override {}
  bool any(bool value) override { return value; }
  void barrier() override {}
};

}  // namespace

std::unique_ptr<Communicator> make_single() {
  return std::make_unique<Single>();
}

}  // namespace distill::dist

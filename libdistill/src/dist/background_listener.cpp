#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include <distill/core/error.h>
#include <distill/dist/channel.h>

namespace distill::dist {

namespace {

using namespace std::chrono_literals;

constexpr double kLook = 0.1;  ///< seconds between two looks whether it has ended
/// After trouble: who has no more files will not have more at once.
constexpr auto kRest = 100ms;
/// Others wait at the door.
constexpr std::size_t kMostWaiting = 64;

class BackgroundListener final : public Listener {
 public:
  explicit BackgroundListener(std::unique_ptr<Listener> listener)
      : inner_(std::move(listener)), thread_([this] { take_all(); }) {}
  ~BackgroundListener() override {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  std::unique_ptr<Channel> accept(double seconds) override {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::duration<double>(seconds),
                      [this] { return !come_.empty() || !trouble_.empty(); });
    if (!trouble_.empty()) throw DistributedError(std::exchange(trouble_, {}));
    if (come_.empty()) return nullptr;
    auto channel = std::move(come_.front());
    come_.pop_front();
    changed_.notify_all();
    return channel;
  }

  std::shared_ptr<Bulk> make_constant(const at::Tensor& bytes) override {
    return inner_->make_constant(bytes);
  }

  std::string describe() const override { return inner_->describe(); }

 private:
  void take_all() {
    while (true) {
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return ending_ || come_.size() < kMostWaiting; });
        if (ending_) return;
      }
      try {
        if (auto channel = inner_->accept(kLook)) keep(std::move(channel));
      } catch (const std::exception& error) {
        note(error);
      }
    }
  }

  void keep(std::unique_ptr<Channel> channel) {
    const std::lock_guard lock(mutex_);
    come_.push_back(std::move(channel));
    told_.clear();
    changed_.notify_all();
  }

  /// What happens again and again is told once.
  void note(const std::exception& error) {
    std::unique_lock lock(mutex_);
    if (told_ != error.what()) trouble_ = told_ = error.what();
    changed_.notify_all();
    changed_.wait_for(lock, kRest, [this] { return ending_; });
  }

  std::unique_ptr<Listener> inner_;
  std::mutex mutex_;  ///< guards what follows
  std::condition_variable changed_;
  std::deque<std::unique_ptr<Channel>> come_;
  std::string trouble_;  ///< to be told
  std::string told_;     ///< the last, until somebody has come
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace

std::unique_ptr<Listener> accept_in_background(std::unique_ptr<Listener> listener) {
  return std::make_unique<BackgroundListener>(std::move(listener));
}

}  // namespace distill::dist

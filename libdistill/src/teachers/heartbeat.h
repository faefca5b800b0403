#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include <distill/core/error.h>
#include <distill/dist/channel.h>
#include <distill/io/teacher_wire.h>

namespace distill::teachers::detail {

/// Tells a student that its teacher is alive, in a thread of its own, while the teacher computes.
class Heartbeat {
 public:
  /// Both references must outlive it.
  Heartbeat(dist::Channel& channel, const std::atomic<bool>& computing, double seconds)
      : thread_([this, &channel, &computing, seconds] { beat(channel, computing, seconds); }) {}
  ~Heartbeat() {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  Heartbeat(const Heartbeat&) = delete;
  Heartbeat& operator=(const Heartbeat&) = delete;

 private:
  void beat(dist::Channel& channel, const std::atomic<bool>& computing, double seconds) {
    std::unique_lock lock(mutex_);
    const std::chrono::duration<double> rest(seconds);
    while (!changed_.wait_for(lock, rest, [this] { return ending_; })) {
      if (!computing) continue;
      lock.unlock();
      try {
        channel.send(static_cast<std::uint32_t>(io::TeacherMessage::kBeat), {});
      } catch (const Error&) {  // who receives hears of it
      }
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace distill::teachers::detail

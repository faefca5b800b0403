#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include <distill/core/error.h>
#include <distill/core/stop_flag.h>
#include <distill/dist/channel.h>
#include <distill/io/teacher_wire.h>

namespace distill::teachers::detail {

/// A batch that is asked for. When nobody holds its ticket any more before its turn, it is not
/// sent.
struct Ticket {
  io::TeacherRequest request;  ///< without its ids once it is sent
  std::int64_t positions = 0;  ///< that count
  std::uint64_t bytes = 0;     ///< of the answer
  at::Tensor answer;           ///< undefined: not there yet
};

/// The student's end of the talk with a teacher. One thread waits, any may ask.
class TeacherLink {
 public:
  /// `stop` may be null.
  TeacherLink(std::unique_ptr<dist::Channel> channel, std::string where, double timeout_seconds,
              const core::StopFlag* stop);
  /// Says that no more is needed.
  ~TeacherLink();

  io::TeacherFacts greet();
  /// The head's bytes; of the size that `facts` tell.
  at::Tensor fetch_head(const io::TeacherFacts& facts);

  /// Sends it at its turn, at once where it is `urgent`. Never throws for the channel: who waits
  /// hears of it.
  void ask(const std::shared_ptr<Ticket>& ticket, bool urgent);
  /// Until its answer is there. Throws TeacherError, Interrupted.
  void wait_for(Ticket& ticket);
  bool shares_memory() const { return channel_->shares_memory(); }

 private:
  struct Sent {
    std::weak_ptr<Ticket> ticket;
    std::uint64_t bytes = 0;
  };
  bool is_answered(Ticket& ticket);
  void send_queued();
  void send_now(const Ticket& wanted);
  void send(const std::shared_ptr<Ticket>& ticket);
  dist::Message next_message();
  dist::Message expect(io::TeacherMessage kind);
  void take(dist::Message message);
  void take_answer(dist::Message message);
  /// With what the channel says, which names the place.
  [[noreturn]] void give_up(const Error& error) const;
  [[noreturn]] void give_up(const std::string& what) const;

  std::unique_ptr<dist::Channel> channel_;
  std::string where_;
  double timeout_seconds_;
  const core::StopFlag* stop_;
  std::mutex mutex_;  ///< guards what follows
  std::uint64_t next_number_ = 1;
  std::uint64_t largest_ = 0;  ///< bytes of an answer that was asked for
  std::deque<std::weak_ptr<Ticket>> queued_;
  std::vector<std::weak_ptr<Ticket>> answered_;  ///< and not taken yet
  std::map<std::uint64_t, Sent> sent_;
};

}  // namespace distill::teachers::detail

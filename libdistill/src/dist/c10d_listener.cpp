#include <deque>
#include <memory>
#include <optional>
#include <thread>

#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "dist/address.h"
#include "dist/c10d_meeting.h"
#include "dist/c10d_meetings.h"
#include "dist/socket_io.h"

namespace distill::dist {

namespace {

using namespace std::chrono_literals;
using detail::Address;
using detail::kMeeting;
using detail::MeetingKeys;
using detail::Store;
using detail::told_of;

/// Students that are called, and met, at one time; others wait. One that does not come costs the
/// others nothing.
constexpr std::size_t kMostCalled = 64;

class C10dListener final : public Listener {
 public:
  C10dListener(const std::string& text, const Pulse& pulse)
      : address_(detail::parse_address(text)),
        is_wildcard_(detail::is_wildcard(address_)),
        pulse_(pulse) {
    auto socket = detail::listen_at(address_);
    c10d::TCPStoreOptions options;
    options.port = address_.port;
    options.isServer = true;
    options.waitWorkers = false;
    options.masterListenFd = socket.release();
    store_ = told_of(describe(), "could not listen there", [&]() -> Store {
      return c10::make_intrusive<c10d::TCPStore>(address_.host, options);
    });
    store_->set(detail::kTeacherKey, std::string(detail::kTeacherValue));
  }

  std::unique_ptr<Channel> accept(double seconds) override {
    const auto end = detail::deadline_in(seconds);
    while (true) {
      if (auto channel = meetings_.take()) return channel;
      if (meetings_.count() < kMostCalled) meet_the_next();
      if (std::chrono::steady_clock::now() >= end) return nullptr;
      std::this_thread::sleep_for(10ms);
    }
  }

  std::shared_ptr<Bulk> make_constant(const at::Tensor& bytes) override {
    return std::make_shared<Bulk>(bytes);
  }

  std::string describe() const override { return detail::shown(address_); }

 private:
  struct Called {
    std::int64_t number = 0;
    detail::Deadline until;
  };

  /// Tells students that have come that it is their turn.
  void call() {
    if (called_.size() >= kMostCalled) return;
    const std::int64_t joined = store_->add(detail::kJoinedKey, 0);
    while (num_called_ < joined && called_.size() < kMostCalled) {
      ++num_called_;
      store_->set(MeetingKeys(num_called_).ready, std::string("1"));
      called_.push_back({num_called_, std::chrono::steady_clock::now() + kMeeting});
    }
  }

  /// One who has answered; those who have given up are forgotten.
  std::optional<std::int64_t> who_is_here() {
    for (auto called = called_.begin(); called != called_.end();) {
      const std::int64_t number = called->number;
      const MeetingKeys keys(number);
      const bool is_here = store_->check({keys.here});
      const bool is_gone = std::chrono::steady_clock::now() >= called->until ||
                           (!is_here && store_->check({keys.gone}));
      called = is_here || is_gone ? called_.erase(called) : std::next(called);
      if (is_here) return number;
      if (is_gone) forget(keys);
    }
    return std::nullopt;
  }

  void meet_the_next() {
    const auto number = told_of(describe(), "its store is gone", [this] {
      call();
      return who_is_here();
    });
    if (number) begin_meeting(*number);
  }

  void forget(const MeetingKeys& keys) {
    for (const auto& key : {keys.ready, keys.here, keys.gone}) store_->deleteKey(key);
  }

  void begin_meeting(std::int64_t number) {
    const MeetingKeys keys(number);
    const std::string who = core::concat(describe(), ": student ", number);
    const auto seen = told_of(who, "its store is gone", [&] { return store_->get(keys.here); });
    forget(keys);
    const std::string host = is_wildcard_ ? std::string(seen.begin(), seen.end()) : address_.host;
    if (is_wildcard_ && !detail::is_numeric_host(host)) {
      fail<DistributedError>(who, ": sees this machine at `", core::printable(host, 60),
                             "`, which is no address");
    }
    meetings_.begin([store = store_, number, host, who, pulse = pulse_](const auto& ended) {
      return detail::meet(store, number, detail::kTeacherRank, host, who, pulse, [&] {
        if (ended()) fail<DistributedError>(who, ": is not waited for any more");
      });
    });
  }

  Address address_;
  bool is_wildcard_;
  Pulse pulse_;
  Store store_;
  std::int64_t num_called_ = 0;
  std::deque<Called> called_;
  detail::Meetings meetings_;
};

}  // namespace

std::unique_ptr<Listener> listen_c10d(const std::string& address, const Pulse& pulse) {
  return std::make_unique<C10dListener>(address, pulse);
}

bool has_c10d() {
  return true;
}

}  // namespace distill::dist

#include <chrono>
#include <future>
#include <memory>
#include <stdexcept>
#include <thread>

#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <distill/core/interrupted.h>

#include "dist/address.h"
#include "dist/c10d_channel.h"

namespace distill::dist {

namespace {

using namespace std::chrono_literals;
using detail::Address;

// Part of the protocol, do not change.
constexpr const char* kTeacherKey = "distill/teacher";
constexpr const char* kTeacherValue = "1";
constexpr const char* kJoinedKey = "distill/joined";
constexpr const char* kGroupPrefix = "distill/student/";
constexpr int kTeacherRank = 0;
constexpr int kStudentRank = 1;
constexpr int kRanks = 2;

/// For two that both are there to find each other.
constexpr std::chrono::milliseconds kMeeting = 10s;

using Store = c10::intrusive_ptr<c10d::Store>;

/// What `action` gives; what c10d throws becomes an error that says where.
template <class Action>
auto told_of(const std::string& where, const char* what, Action&& action) {
  try {
    return action();
  } catch (const Interrupted&) {
    throw;
  } catch (const std::exception& error) {
    fail<DistributedError>(where, ": ", what, " (", detail::reason_of(error), ")");
  }
}

/// Students that have come, with `more`.
std::int64_t count(const Store& store, const std::string& who, std::int64_t more) {
  return told_of(who, "its store is gone", [&] { return store->add(kJoinedKey, more); });
}

/// A group of the teacher and one student.
std::unique_ptr<Channel> meet(const Store& store, std::int64_t number, int rank,
                              const std::string& host, const std::string& who) {
  const Store own =
      c10::make_intrusive<c10d::PrefixStore>(core::concat(kGroupPrefix, number), store);
  auto group = told_of(who, "no connection came about",
                       [&] { return detail::make_gloo(own, rank, kRanks, host, kMeeting); });
  return std::make_unique<detail::C10dChannel>(
      store, std::move(group), rank == kTeacherRank ? kStudentRank : kTeacherRank, who);
}

class C10dListener final : public Listener {
 public:
  explicit C10dListener(const std::string& text) : address_(detail::parse_address(text)) {
    auto socket = detail::listen_at(address_);
    c10d::TCPStoreOptions options;
    options.port = address_.port;
    options.isServer = true;
    options.waitWorkers = false;
    options.masterListenFd = socket.release();
    store_ = told_of(describe(), "could not listen there", [&]() -> Store {
      return c10::make_intrusive<c10d::TCPStore>(address_.host, options);
    });
    store_->set(kTeacherKey, std::string(kTeacherValue));
  }

  std::unique_ptr<Channel> accept(double seconds) override {
    const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    while (count(store_, describe(), 0) <= joined_) {
      if (std::chrono::steady_clock::now() >= end) return nullptr;
      std::this_thread::sleep_for(10ms);
    }
    ++joined_;
    return meet(store_, joined_, kTeacherRank, address_.host,
                core::concat(describe(), ": student ", joined_));
  }

  std::shared_ptr<Bulk> make_constant(const at::Tensor& bytes) override {
    return std::make_shared<Bulk>(bytes);
  }

  std::string describe() const override { return detail::shown(address_); }

 private:
  Address address_;
  Store store_;
  std::int64_t joined_ = 0;
};

void wait_for_listener(const Address& address, const ConnectOptions& options) {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::duration<double>(options.timeout_seconds);
  while (!detail::can_connect(address)) {
    if (options.cancelled && options.cancelled()) {
      fail<Interrupted>(detail::shown(address), ": stopped while waiting for a teacher there");
    }
    if (Clock::now() >= end) {
      fail<DistributedError>(detail::shown(address), ": no teacher there after ",
                             core::human_seconds(options.timeout_seconds),
                             "; start `distill teacher --listen ", detail::shown(address), "`");
    }
    std::this_thread::sleep_for(50ms);
  }
}

/// c10d waits without end for a server that says nothing, so a thread does it, which is left alone
/// then.
Store find_teacher(const Address& address, const ConnectOptions& options) {
  auto found = std::make_shared<std::promise<Store>>();
  auto store = found->get_future();
  std::thread([address, found] {
    try {
      c10d::TCPStoreOptions own;
      own.port = address.port;
      own.waitWorkers = false;
      own.timeout = kMeeting;
      Store made = c10::make_intrusive<c10d::TCPStore>(address.host, own);
      made->wait({kTeacherKey}, 5s);
      found->set_value(std::move(made));
    } catch (...) {
      found->set_exception(std::current_exception());
    }
  }).detach();
  const auto end = std::chrono::steady_clock::now() + kMeeting;
  while (store.wait_for(50ms) != std::future_status::ready) {
    if (options.cancelled && options.cancelled()) {
      fail<Interrupted>(detail::shown(address), ": stopped while waiting for a teacher there");
    }
    if (std::chrono::steady_clock::now() >= end) throw std::runtime_error("it says nothing");
  }
  return store.get();
}

}  // namespace

std::unique_ptr<Listener> listen_c10d(const std::string& address) {
  return std::make_unique<C10dListener>(address);
}

std::unique_ptr<Channel> connect_c10d(const std::string& text, const ConnectOptions& options) {
  const Address address = detail::parse_address(text);
  const std::string who = detail::shown(address);
  wait_for_listener(address, options);
  const Store store = told_of(who, "what listens there is no teacher",
                              [&] { return find_teacher(address, options); });
  const std::int64_t number = count(store, who, 1);
  return meet(store, number, kStudentRank, detail::own_host(address), who);
}

bool has_c10d() {
  return true;
}

}  // namespace distill::dist

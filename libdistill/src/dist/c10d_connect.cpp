#include <future>
#include <memory>
#include <stdexcept>
#include <thread>

#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "dist/address.h"
#include "dist/c10d_meeting.h"
#include "dist/socket_io.h"

namespace distill::dist {

namespace {

using namespace std::chrono_literals;
using detail::Address;
using detail::kMeeting;
using detail::MeetingKeys;
using detail::Store;
using detail::told_of;
using detail::Way;

void look_at_stop(const Address& address, const ConnectOptions& options) {
  if (options.cancelled && options.cancelled()) {
    fail<Interrupted>(detail::shown(address), ": stopped while waiting for a teacher there");
  }
}

Way wait_for_listener(const Address& address, const ConnectOptions& options) {
  const auto end = detail::deadline_in(options.timeout_seconds);
  while (true) {
    const auto way = detail::find_way(address, options.cancelled);
    if (way) return *way;
    look_at_stop(address, options);
    if (std::chrono::steady_clock::now() >= end) {
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
      made->wait({detail::kTeacherKey}, 5s);
      found->set_value(std::move(made));
    } catch (...) {
      found->set_exception(std::current_exception());
    }
  }).detach();
  const auto end = std::chrono::steady_clock::now() + kMeeting;
  while (store.wait_for(50ms) != std::future_status::ready) {
    look_at_stop(address, options);
    if (std::chrono::steady_clock::now() >= end) throw std::runtime_error("it says nothing");
  }
  return store.get();
}

/// Until the teacher calls this student; one that gives up says so, and nobody waits for it.
void wait_for_turn(const Store& store, std::int64_t number, const Address& address,
                   const ConnectOptions& options) {
  const MeetingKeys keys(number);
  const auto end = detail::deadline_in(options.timeout_seconds);
  try {
    while (!store->check({keys.ready})) {
      look_at_stop(address, options);
      if (std::chrono::steady_clock::now() >= end) {
        fail<DistributedError>(detail::shown(address),
                               ": the teacher there takes no student after ",
                               core::human_seconds(options.timeout_seconds));
      }
      std::this_thread::sleep_for(20ms);
    }
  } catch (const Error&) {
    store->set(keys.gone, std::string("1"));
    throw;
  }
}

}  // namespace

std::unique_ptr<Channel> connect_c10d(const std::string& text, const ConnectOptions& options) {
  const Address address = detail::parse_address(text);
  const std::string who = detail::shown(address);
  const Way way = wait_for_listener(address, options);
  const Store store = told_of(who, "what listens there is no teacher",
                              [&] { return find_teacher(address, options); });
  const auto number = told_of(who, "its store is gone", [&] {
    const std::int64_t own = store->add(detail::kJoinedKey, 1);
    wait_for_turn(store, own, address, options);
    store->set(MeetingKeys(own).here, way.other);
    return own;
  });
  return detail::meet(store, number, detail::kStudentRank, way.own, who, options.pulse,
                      [&] { look_at_stop(address, options); });
}

}  // namespace distill::dist

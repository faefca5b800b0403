#include "dist/c10d_meeting.h"

#include <algorithm>
#include <stdexcept>
#include <thread>
#include <vector>

#include <torch/csrc/distributed/c10d/PrefixStore.hpp>

#include "dist/c10d_channel.h"

namespace distill::dist::detail {

namespace {

constexpr int kRanks = 2;

/// Where a store's own wait holds up everybody else who uses it, and cannot be ended, this one
/// looks again and again.
class MeetingStore final : public c10d::PrefixStore {
 public:
  using Look = std::function<void()>;
  MeetingStore(const std::string& prefix, const detail::Store& store, std::shared_ptr<Look> look)
      : c10d::PrefixStore(prefix, store), look_(std::move(look)) {}

  c10::intrusive_ptr<c10d::Store> clone() override {
    return c10::make_intrusive<MeetingStore>(prefix_, store_->clone(), look_);
  }
  std::vector<std::uint8_t> get(const std::string& key) override {
    wait({key});
    return PrefixStore::get(key);
  }
  std::vector<std::vector<std::uint8_t>> multiGet(const std::vector<std::string>& keys) override {
    wait(keys);
    return PrefixStore::multiGet(keys);
  }
  void wait(const std::vector<std::string>& keys) override { wait(keys, kMeeting); }
  void wait(const std::vector<std::string>& keys,
            const std::chrono::milliseconds& timeout) override {
    const auto end = std::chrono::steady_clock::now() + std::min(timeout, kMeeting);
    while (!check(keys)) {
      if (*look_) (*look_)();
      if (std::chrono::steady_clock::now() >= end) throw std::runtime_error("it says nothing");
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }

 private:
  std::shared_ptr<Look> look_;  ///< of its clones too
};

}  // namespace

MeetingKeys::MeetingKeys(std::int64_t number)
    : prefix(core::concat("distill/student/", number)),
      ready(prefix + "/ready"),
      here(prefix + "/here"),
      gone(prefix + "/gone") {}

std::unique_ptr<Channel> meet(const Store& store, std::int64_t number, int rank,
                              const std::string& host, const std::string& who, const Pulse& pulse,
                              const std::function<void()>& look) {
  const auto asked = std::make_shared<std::function<void()>>(look);
  const Store own = c10::make_intrusive<MeetingStore>(MeetingKeys(number).prefix, store, asked);
  auto group = told_of(who, "no connection came about", [&] {
    try {
      return make_gloo(own, rank, kRanks, host, kMeeting);
    } catch (const std::exception&) {
      if (look) look();  // it is told by its name: c10d makes one kind of error of all
      throw;
    }
  });
  *asked = {};  // the group keeps its store
  const int other = rank == kTeacherRank ? kStudentRank : kTeacherRank;
  return std::make_unique<C10dChannel>(store, std::move(group), other, who, pulse);
}

}  // namespace distill::dist::detail

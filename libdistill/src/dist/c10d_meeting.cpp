#include "dist/c10d_meeting.h"

#include <torch/csrc/distributed/c10d/PrefixStore.hpp>

#include "dist/c10d_channel.h"

namespace distill::dist::detail {

namespace {

constexpr int kRanks = 2;

}  // namespace

MeetingKeys::MeetingKeys(std::int64_t number)
    : prefix(core::concat("distill/student/", number)),
      ready(prefix + "/ready"),
      here(prefix + "/here"),
      gone(prefix + "/gone") {}

std::unique_ptr<Channel> meet(const Store& store, std::int64_t number, int rank,
                              const std::string& host, const std::string& who, const Pulse& pulse) {
  const Store own = c10::make_intrusive<c10d::PrefixStore>(MeetingKeys(number).prefix, store);
  auto group = told_of(who, "no connection came about",
                       [&] { return make_gloo(own, rank, kRanks, host, kMeeting); });
  const int other = rank == kTeacherRank ? kStudentRank : kTeacherRank;
  return std::make_unique<C10dChannel>(store, std::move(group), other, who, pulse);
}

}  // namespace distill::dist::detail

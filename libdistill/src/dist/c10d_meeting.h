#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include <torch/csrc/distributed/c10d/Store.hpp>

#include <distill/core/error.h>
#include <distill/core/interrupted.h>
#include <distill/dist/channel.h>

#include "dist/reason.h"

namespace distill::dist::detail {

using Store = c10::intrusive_ptr<c10d::Store>;

// Part of the protocol (docs/formats/teacher_process.md), do not change.
inline constexpr const char* kTeacherKey = "distill/teacher";
inline constexpr const char* kTeacherValue = "1";
inline constexpr const char* kJoinedKey = "distill/joined";
inline constexpr int kTeacherRank = 0;
inline constexpr int kStudentRank = 1;

/// What the two say to each other about student `number` before they meet.
struct MeetingKeys {
  explicit MeetingKeys(std::int64_t number);
  std::string prefix;  ///< of the group's own keys
  std::string ready;   ///< teacher: it is this one's turn
  std::string here;    ///< student: it comes; the address at which it sees the teacher
  std::string gone;    ///< student: it has given up
};

/// For two that both are there to find each other.
inline constexpr std::chrono::milliseconds kMeeting = std::chrono::seconds(10);

/// What `action` gives; what c10d throws becomes an error that says where.
template <class Action>
auto told_of(const std::string& where, const char* what, Action&& action) {
  try {
    return action();
  } catch (const Interrupted&) {
    throw;
  } catch (const DistributedError&) {
    throw;
  } catch (const std::exception& error) {
    fail<DistributedError>(where, ": ", what, " (", reason_of(error), ")");
  }
}

/// A channel between the teacher and this student, which both are about to form. `host`: this
/// machine's address on the way. `who`: the other end. `look`: asked often while the other one is
/// waited for; throws to end that; may be empty.
std::unique_ptr<Channel> meet(const Store& store, std::int64_t number, int rank,
                              const std::string& host, const std::string& who, const Pulse& pulse,
                              const std::function<void()>& look);

}  // namespace distill::dist::detail

#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include <distill/dist/channel.h>

namespace distill::dist::detail {

/// Meetings that go on beside each other, each in a thread of its own: one whose other end says
/// nothing any more costs the others nothing.
class Meetings {
 public:
  /// Gives a channel or throws; is to throw soon after `ended` says true.
  using Meet = std::function<std::unique_ptr<Channel>(const std::function<bool()>& ended)>;

  Meetings();
  /// Waits a second for those that go on. One that cannot be ended sooner is left alone: c10d waits
  /// as long as it was told to.
  ~Meetings();
  Meetings(const Meetings&) = delete;
  Meetings& operator=(const Meetings&) = delete;

  /// Throws std::system_error where there is no thread to be had.
  void begin(Meet meet);
  /// A channel that has come about; null: there is none. Throws what a meeting threw.
  std::unique_ptr<Channel> take();
  /// That go on.
  std::size_t count() const;

 private:
  struct State;
  std::shared_ptr<State> state_;  ///< of the threads too
};

}  // namespace distill::dist::detail

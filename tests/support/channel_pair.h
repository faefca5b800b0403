#pragma once

#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>

#include <distill/dist/channel.h>

#include "support/scratch_name.h"

namespace distill::testing {

enum class Transport { kShared, kC10d };

/// A listener and somebody who has connected to it, in one process.
struct ChannelPair {
  /// Each end with its own signs of life.
  explicit ChannelPair(Transport transport, const dist::Pulse& near_pulse = {},
                       const dist::Pulse& far_pulse = {}) {
    const bool shared = transport == Transport::kShared;
    const std::string name = scratch_name();
    listener = shared ? dist::listen_shared(name, near_pulse)
                      : dist::listen_c10d("127.0.0.1:0", near_pulse);
    std::thread student([&] {
      const dist::ConnectOptions how{.timeout_seconds = 10, .pulse = far_pulse};
      far =
          shared ? dist::connect_shared(name, how) : dist::connect_c10d(listener->describe(), how);
    });
    near = listener->accept(10);
    student.join();
    if (!near || !far) throw std::runtime_error("no connection came about");
    near->set_limits({1 << 20, 64 << 20});
    far->set_limits({1 << 20, 64 << 20});
  }

  std::unique_ptr<dist::Listener> listener;
  std::unique_ptr<dist::Channel> near;  ///< the listener's end
  std::unique_ptr<dist::Channel> far;
};

inline std::string text_of(const dist::Message& message) {
  return {reinterpret_cast<const char*>(message.body.data()), message.body.size()};
}

inline std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

}  // namespace distill::testing

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
  explicit ChannelPair(Transport transport) {
    const bool shared = transport == Transport::kShared;
    const std::string name = scratch_name();
    listener = shared ? dist::listen_shared(name) : dist::listen_c10d("127.0.0.1:0");
    std::thread student([&] {
      far = shared ? dist::connect_shared(name, {.timeout_seconds = 10})
                   : dist::connect_c10d(listener->describe(), {.timeout_seconds = 10});
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

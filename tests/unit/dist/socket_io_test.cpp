#include "dist/socket_io.h"

#include <chrono>
#include <cstring>
#include <string>
#include <thread>

#include <gtest/gtest.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>

#include <distill/core/error.h>

namespace distill::dist::detail {
namespace {

using namespace std::chrono_literals;

TEST(LocalSocket, ASignalDoesNotEndAWait) {
  struct sigaction nothing {};
  nothing.sa_handler = [](int) {};
  struct sigaction before {};
  ASSERT_EQ(::sigaction(SIGUSR1, &nothing, &before), 0);
  int ends[2] = {};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  LocalSocket near(Descriptor{ends[0]}, "far");
  LocalSocket far(Descriptor{ends[1]}, "near");
  std::byte got[4]{};
  std::string error;
  std::thread reader([&] {
    try {
      near.receive(got, deadline_in(20));
    } catch (const Error& thrown) {
      error = thrown.what();
    }
  });
  for (int i = 0; i < 5; ++i) {
    std::this_thread::sleep_for(20ms);
    ::pthread_kill(reader.native_handle(), SIGUSR1);
  }
  far.send(std::as_bytes(std::span("abcd", 4)));
  reader.join();
  ::sigaction(SIGUSR1, &before, nullptr);
  EXPECT_EQ(error, "");
  EXPECT_EQ(std::memcmp(got, "abcd", 4), 0);
}

TEST(LocalSocket, AWaitEndsAtItsDeadline) {
  int ends[2] = {};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  const Descriptor near(ends[0]);
  const Descriptor far(ends[1]);
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_FALSE(wait_for(near, POLLIN, deadline_in(0.05)));
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 50ms);
}

}  // namespace
}  // namespace distill::dist::detail

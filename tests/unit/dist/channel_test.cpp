// What both kinds of channels must do, and how each ends.
#include <distill/dist/channel.h>

#include <chrono>
#include <thread>

#include <gtest/gtest.h>

#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>

#include <distill/core/error.h>
#include <distill/core/interrupted.h>

#include "support/channel_pair.h"
#include "support/temp_folder.h"

namespace distill::dist {
namespace {

using testing::bytes_of;
using testing::ChannelPair;
using testing::message_of;
using testing::text_of;
using testing::Transport;
using namespace std::chrono_literals;

at::Tensor numbers(std::int64_t count, std::int64_t first = 0) {
  return at::arange(first, first + count, at::TensorOptions(at::kLong))
      .remainder(251)
      .to(at::kByte);
}

class ChannelTest : public ::testing::TestWithParam<Transport> {
 protected:
  void SetUp() override {
    if (GetParam() == Transport::kC10d && !has_c10d()) {
      GTEST_SKIP() << "built without gloo's headers";
    }
    pair_ = std::make_unique<ChannelPair>(GetParam());
  }
  Channel& near() { return *pair_->near; }
  Channel& far() { return *pair_->far; }

  std::unique_ptr<ChannelPair> pair_;
};

TEST_P(ChannelTest, MessagesComeWholeAndInOrderInBothDirections) {
  std::thread sender([&] {
    for (int i = 0; i < 50; ++i) {
      far().send(static_cast<std::uint32_t>(i),
                 bytes_of(std::string(static_cast<size_t>(i) * 997, 'x')));
    }
  });
  for (int i = 0; i < 50; ++i) {
    const auto message = near().receive(10);
    ASSERT_TRUE(message);
    EXPECT_EQ(message->kind, static_cast<std::uint32_t>(i));
    EXPECT_EQ(text_of(*message), std::string(static_cast<size_t>(i) * 997, 'x'));
    EXPECT_FALSE(message->bulk.defined());
  }
  sender.join();
  near().send(7, bytes_of("back"));
  EXPECT_EQ(text_of(far().receive(10).value()), "back");
  EXPECT_FALSE(far().receive(0.01));
}

TEST_P(ChannelTest, DataComesAsItWasSentHoweverOftenMemoryIsUsedAgain) {
  for (int round = 0; round < 40; ++round) {
    const std::int64_t size = 1 + round * 5000;
    const auto bulk = near().make_bulk(static_cast<std::uint64_t>(size));
    bulk->bytes().copy_(numbers(size, round));
    near().send(1, {}, bulk);
    const auto message = far().receive(10);
    ASSERT_TRUE(message);
    EXPECT_TRUE(at::equal(message->bulk, numbers(size, round))) << round;
  }
}

TEST_P(ChannelTest, DataThatIsHeldStaysAsItIs) {
  std::vector<at::Tensor> held;
  for (int round = 0; round < 20; ++round) {
    const auto bulk = near().make_bulk(70'000);
    bulk->bytes().copy_(numbers(70'000, round));
    near().send(1, {}, bulk);
    held.push_back(far().receive(10)->bulk);
  }
  for (int round = 0; round < 20; ++round) {
    EXPECT_TRUE(at::equal(held[static_cast<size_t>(round)], numbers(70'000, round))) << round;
  }
  pair_->far.reset();
  EXPECT_TRUE(at::equal(held[3], numbers(70'000, 3))) << "outlives the channel";
}

TEST_P(ChannelTest, AConstantGoesToManyAndComesTwice) {
  const auto constant = pair_->listener->make_constant(numbers(300'000));
  for (int i = 0; i < 2; ++i) {
    near().send(3, bytes_of("head"), constant);
    const auto message = far().receive(10);
    ASSERT_TRUE(message);
    EXPECT_TRUE(at::equal(message->bulk, numbers(300'000)));
  }
}

TEST_P(ChannelTest, WhatIsBeyondTheLimitsIsRefusedBeforeItIsTaken) {
  far().set_limits({10, 0});
  near().send(1, bytes_of("0123456789"));
  EXPECT_TRUE(far().receive(10));
  std::thread sender([&] {  // its end may hear of it or not
    try {
      near().send(1, bytes_of("01234567890"));
    } catch (const DistributedError&) {
    }
  });
  EXPECT_NE(message_of<DistributedError>([&] { far().receive(10); }).find("expected at most 10"),
            std::string::npos);
  pair_->far.reset();
  sender.join();
}

TEST_P(ChannelTest, WhatWasSentComesThoughTheOtherEndTakesItsTime) {
  const auto begin = std::chrono::steady_clock::now();
  const std::string body(1 << 20, 'r');
  for (int i = 0; i < 40; ++i) near().send(static_cast<std::uint32_t>(i), bytes_of(body));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 5s) << "more than any socket holds";
  for (int i = 0; i < 40; ++i) {
    const auto message = far().receive(10);
    ASSERT_TRUE(message);
    EXPECT_EQ(message->kind, static_cast<std::uint32_t>(i));
    EXPECT_EQ(message->body.size(), body.size());
  }
}

TEST_P(ChannelTest, SignsOfLifeComeByThemselves) {
  ChannelPair pair(GetParam(), {.beat_seconds = 0.05}, {.beat_seconds = 30});
  std::this_thread::sleep_for(500ms);
  EXPECT_LT(pair.far->silence(), 0.4);
  EXPECT_GT(pair.near->silence(), 0.4) << "the other one gives none yet";
  EXPECT_FALSE(pair.far->receive(0)) << "they are no messages";
}

TEST_P(ChannelTest, AnEndThatGoesIsNoticedAtOnce) {
  far().send(1, bytes_of("last"));
  pair_->far.reset();
  const auto begin = std::chrono::steady_clock::now();
  // What was sent before may be lost over c10d.
  const auto ended = message_of<DistributedError>([&] {
    while (true) near().receive(10);
  });
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 5s);
  EXPECT_FALSE(ended.empty());
  EXPECT_LT(ended.size(), 300u) << ended;
}

INSTANTIATE_TEST_SUITE_P(Both, ChannelTest, ::testing::Values(Transport::kShared, Transport::kC10d),
                         [](const auto& one) {
                           return one.param == Transport::kShared ? "Shared" : "C10d";
                         });

/// A machine that vanishes says no goodbye: it is the silence that tells.
TEST(Vanished, AnotherMachineIsNoticedByItsSilence) {
  if (!has_c10d()) GTEST_SKIP() << "built without gloo's headers";
  ChannelPair pair(Transport::kC10d, {.gone_seconds = 0.3}, {.beat_seconds = 1000});
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_NE(message_of<DistributedError>([&] {
              while (std::chrono::steady_clock::now() - begin < 20s) pair.near->receive(1);
            }).find("is silent for"),
            std::string::npos);
  EXPECT_THROW(pair.near->send(1, {}), DistributedError);
}

}  // namespace
}  // namespace distill::dist

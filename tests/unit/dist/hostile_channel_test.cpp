// A peer that speaks over the socket of a shared channel as it likes.
#include <cstring>
#include <optional>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <distill/core/error.h>
#include <distill/core/random.h>

#include "dist/frame.h"
#include "dist/shared_channel.h"
#include "support/temp_folder.h"

namespace distill::dist::detail {
namespace {

using testing::message_of;

class HostilePeer : public ::testing::Test {
 protected:
  HostilePeer() {
    int ends[2] = {};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) std::abort();
    channel_.emplace(Descriptor(ends[0]), "peer");
    channel_->set_limits({1000, 1 << 20});
    peer_ = Descriptor(ends[1]);
  }
  void send(const void* data, std::size_t bytes, int file = -1) {
    LocalSocket socket(Descriptor(::dup(peer_.get())), "channel");
    socket.send({static_cast<const std::byte*>(data), bytes}, file);
  }
  void send(const Frame& frame, int file = -1) { send(&frame, sizeof(frame), file); }
  std::string refusal() {
    return message_of<DistributedError>([&] {
      while (channel_->receive(5)) {
      }
      throw DistributedError("nothing came");
    });
  }
  static Descriptor memory(std::int64_t bytes, int seals) {
    Descriptor file(::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    EXPECT_EQ(::ftruncate(file.get(), bytes), 0);
    if (seals != 0) {
      EXPECT_EQ(::fcntl(file.get(), F_ADD_SEALS, seals), 0);
    }
    return file;
  }
  static Frame with_data(std::uint64_t bytes, std::uint32_t flags) {
    Frame frame;
    frame.kind = 1;
    frame.bulk = bytes;
    frame.flags = flags;
    return frame;
  }

  std::optional<SharedChannel> channel_;
  Descriptor peer_;
};

constexpr int kSized = F_SEAL_SHRINK | F_SEAL_GROW;

TEST_F(HostilePeer, WrongMagicIsNoMessage) {
  Frame frame;
  frame.magic = 0x44544348;
  send(frame);
  EXPECT_NE(refusal().find("no message of distill"), std::string::npos);
}

TEST_F(HostilePeer, SizesBeyondTheLimitsAreRefused) {
  Frame frame;
  frame.body = std::uint64_t{1} << 60;
  send(frame);
  EXPECT_NE(refusal().find("expected at most 1000"), std::string::npos);
}

TEST_F(HostilePeer, MoreDataThanAllowedIsRefused) {
  send(with_data((1 << 20) + 1, Frame::kWithDescriptor));
  EXPECT_NE(refusal().find("of data, expected at most"), std::string::npos);
}

TEST_F(HostilePeer, AnEndInTheMiddleIsAnEnd) {
  Frame frame;
  frame.body = 100;
  send(frame);
  send("half", 4);
  peer_ = Descriptor();
  EXPECT_NE(refusal().find("has ended"), std::string::npos);
}

TEST_F(HostilePeer, HalfAFrameIsAnEnd) {
  Frame frame;
  send(&frame, 10);
  peer_ = Descriptor();
  EXPECT_NE(refusal().find("has ended"), std::string::npos);
}

TEST_F(HostilePeer, UnknownFlagsAreRefused) {
  send(with_data(10, 64));
  EXPECT_NE(refusal().find("unknown flags"), std::string::npos);
}

TEST_F(HostilePeer, DataWithoutMemoryIsRefused) {
  send(with_data(10, 0));
  EXPECT_NE(refusal().find("did not send"), std::string::npos);
}

TEST_F(HostilePeer, AnAnnouncedFileMustCome) {
  send(with_data(10, Frame::kWithDescriptor));
  EXPECT_NE(refusal().find("do not agree"), std::string::npos);
}

TEST_F(HostilePeer, AFileThatWasNotAnnouncedIsRefused) {
  send(Frame(), memory(100, kSized).get());
  EXPECT_NE(refusal().find("do not agree"), std::string::npos);
}

TEST_F(HostilePeer, MemoryThatCanShrinkIsRefused) {
  send(with_data(10, Frame::kWithDescriptor), memory(100, 0).get());
  EXPECT_NE(refusal().find("no sealed shared memory"), std::string::npos);
}

TEST_F(HostilePeer, AConstantThatCanChangeIsRefused) {
  send(with_data(10, Frame::kWithDescriptor | Frame::kConstant), memory(100, kSized).get());
  EXPECT_NE(refusal().find("no sealed shared memory"), std::string::npos);
}

TEST_F(HostilePeer, MemoryThatIsTooSmallIsRefused) {
  send(with_data(101, Frame::kWithDescriptor), memory(100, kSized).get());
  EXPECT_NE(refusal().find("shared memory of 100 bytes, expected at least 101"), std::string::npos);
}

TEST_F(HostilePeer, AnOrdinaryFileIsRefused) {
  const Descriptor file(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  send(with_data(10, Frame::kWithDescriptor), file.get());
  EXPECT_NE(refusal().find("no sealed shared memory"), std::string::npos);
}

TEST_F(HostilePeer, LettingGoOfWhatItDoesNotHaveIsRefused) {
  Frame frame;
  frame.kind = Frame::kRelease;
  frame.segment = 3;
  send(frame);
  EXPECT_NE(refusal().find("does not have"), std::string::npos);
}

TEST_F(HostilePeer, NoNumberOfKeptAnswersTakesMoreMemoryThanThereIsRoomFor) {
  EXPECT_NE(message_of<DistributedError>([&] {
              for (int i = 0; i < 100; ++i) channel_->send(1, {}, channel_->make_bulk(100));
            }).find("keeps all of 32"),
            std::string::npos);
}

TEST_F(HostilePeer, ManySmallMessagesWhileSendingAreRefused) {
  const std::vector<Frame> many(1100);
  send(many.data(), many.size() * sizeof(Frame));
  EXPECT_NE(message_of<DistributedError>([&] { channel_->make_bulk(10); }).find("at once"),
            std::string::npos);
}

/// Whatever comes, it is a message or an error.
TEST_F(HostilePeer, RandomBytesBehindAGoodMagicNeverCrash) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    int ends[2] = {};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    SharedChannel channel(Descriptor{ends[0]}, "peer");
    channel.set_limits({1000, 1 << 20});
    peer_ = Descriptor(ends[1]);
    core::RandomState random(seed, 1);
    for (int i = 0; i < 8; ++i) {
      Frame frame;
      frame.kind = static_cast<std::uint32_t>(random.next());
      frame.body = random.next() % (random.next() % 4 == 0 ? 2000 : 20);
      frame.bulk = random.next() % 3 == 0 ? random.next() % (2 << 20) : 0;
      frame.segment = static_cast<std::uint32_t>(random.next() % 40);
      frame.flags = static_cast<std::uint32_t>(random.next() % 5);
      const bool file = random.next() % 2 == 0;
      send(frame,
           file ? memory(static_cast<std::int64_t>(random.next() % 100'000), kSized).get() : -1);
      const std::string body(random.next() % 30, 'b');
      if (!body.empty()) send(body.data(), body.size());
    }
    peer_ = Descriptor();
    EXPECT_THROW(while (channel.receive(1)){}, DistributedError);
  }
}

}  // namespace
}  // namespace distill::dist::detail

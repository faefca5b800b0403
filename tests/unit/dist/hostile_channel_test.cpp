// A peer that speaks over the socket of a shared channel as it likes.
#include <atomic>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <optional>
#include <thread>
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
#include "dist/socket_io.h"
#include "support/temp_folder.h"

namespace distill::dist::detail {
namespace {

using testing::message_of;
using namespace std::chrono_literals;

class HostilePeer : public ::testing::Test {
 protected:
  HostilePeer() {
    int ends[2] = {};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) std::abort();
    channel_.emplace(Descriptor(ends[0]), "peer", Pulse{.gone_seconds = kGone});
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

  static constexpr double kGone = 0.5;  ///< seconds that a message may take
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

TEST_F(HostilePeer, MessagesThatNobodyTakesStayWithTheirSender) {
  constexpr std::uint64_t kBytes = 8 << 20;
  constexpr int kMessages = 20;
  channel_->set_limits({kBytes, 0});
  std::atomic<int> sent{0};
  std::thread sender([&] {
    Frame frame;
    frame.body = kBytes;
    const std::vector<std::byte> body(kBytes);
    for (int i = 0; i < kMessages; ++i) {
      send(frame);
      send(body.data(), body.size());
      ++sent;
    }
  });
  std::this_thread::sleep_for(500ms);
  EXPECT_GE(sent, 8);
  EXPECT_LE(sent, 8 + 1) << "64 MiB, and what the socket holds";
  for (int i = 0; i < kMessages; ++i) EXPECT_EQ(channel_->receive(10)->body.size(), kBytes) << i;
  sender.join();
}

TEST_F(HostilePeer, HalfAMessageHoldsUpNobodyAndIsNoneInTheEnd) {
  Frame frame;
  frame.body = 100;
  send(frame);
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_FALSE(channel_->receive(0.01));
  channel_->send(1, {}, nullptr);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 400ms);
  EXPECT_NE(refusal().find("is silent after 0 of 100 bytes"), std::string::npos);
}

TEST_F(HostilePeer, AMessageInManyPiecesHasOneDeadline) {
  Frame frame;
  frame.body = 100;
  send(frame);
  std::atomic<bool> ended{false};
  std::thread dripping([&] {
    for (int i = 0; i < 100 && !ended; ++i) {
      send("x", 1);
      std::this_thread::sleep_for(50ms);
    }
  });
  const auto begin = std::chrono::steady_clock::now();
  const std::string message = refusal();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 2s);
  EXPECT_NE(message.find("of 100 bytes"), std::string::npos) << message;
  ended = true;
  dripping.join();
}

TEST_F(HostilePeer, WhoTakesNothingNeverMakesASenderWait) {
  const std::vector<std::byte> body(100'000);
  const auto begin = std::chrono::steady_clock::now();
  const auto fill = [&] {
    for (int i = 0; i < 1000; ++i) channel_->send(1, body, nullptr);
  };
  EXPECT_NE(message_of<DistributedError>(fill).find("takes no messages"), std::string::npos);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 2s);
  EXPECT_THROW(channel_->send(1, {}, nullptr), DistributedError)
      << "one is missing, so none follows";
}

TEST_F(HostilePeer, AFileTooManyIsRefusedAndClosed) {
  const auto num_open = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
  };
  const Descriptor file = memory(100, kSized);
  const auto before = num_open();
  Frame frame = with_data(10, Frame::kWithDescriptor);
  struct iovec part {
    &frame, sizeof(frame)
  };
  alignas(struct cmsghdr) std::byte room[CMSG_SPACE(2 * sizeof(int))]{};
  struct msghdr message {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = room;
  message.msg_controllen = sizeof(room);
  struct cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(2 * sizeof(int));
  const int files[2] = {file.get(), file.get()};
  std::memcpy(CMSG_DATA(header), files, sizeof(files));
  ASSERT_EQ(::sendmsg(peer_.get(), &message, 0), static_cast<ssize_t>(sizeof(frame)));
  EXPECT_NE(refusal().find("a file unasked"), std::string::npos);
  EXPECT_EQ(num_open(), before);
}

TEST_F(HostilePeer, ASignOfLifeWithMoreIsNone) {
  Frame frame;
  frame.kind = Frame::kBeat;
  frame.body = 1;
  send(frame);
  EXPECT_NE(refusal().find("expected at most 0"), std::string::npos);
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

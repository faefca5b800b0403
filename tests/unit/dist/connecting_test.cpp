// How two find each other: nobody there, no time for them, one that gives up.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <distill/core/error.h>
#include <distill/core/interrupted.h>
#include <distill/dist/channel.h>

#include "dist/address.h"
#include "dist/c10d_meeting.h"
#include "dist/descriptor.h"
#include "support/channel_pair.h"
#include "support/temp_folder.h"

namespace distill::dist {
namespace {

using testing::message_of;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using detail::Store;

TEST(Connecting, NobodyThereIsToldInTimeAndCanBeStopped) {
  EXPECT_NE(message_of<DistributedError>([] {
              connect_shared(testing::scratch_name(), {.timeout_seconds = 0.2});
            }).find("no teacher there after"),
            std::string::npos);
  EXPECT_NE(message_of<Interrupted>([] {
              connect_shared(testing::scratch_name(), {.cancelled = [] { return true; }});
            }).find("stopped"),
            std::string::npos);
  if (!has_c10d()) GTEST_SKIP() << "built without gloo's headers";
  EXPECT_NE(message_of<DistributedError>([] {
              connect_c10d("127.0.0.1:1", {.timeout_seconds = 0.2});
            }).find("no teacher there after"),
            std::string::npos);
  EXPECT_FALSE(message_of<Interrupted>([] {
                 connect_c10d("127.0.0.1:1", {.cancelled = [] { return true; }});
               }).empty());
}

TEST(Connecting, NamesAndAddressesAreChecked) {
  for (const char* name : {"", "a/b", "a b", "\n"}) {
    EXPECT_FALSE(message_of<InputError>([&] { check_shared_name(name); }).empty()) << name;
  }
  EXPECT_FALSE(message_of<InputError>([] { check_shared_name(std::string(65, 'a')); }).empty());
  check_shared_name("Big-Teacher_7.b");
  for (const char* address : {"", "host", ":1", "host:", "host:x", "host:70000", "::1:5", "h:-1"}) {
    EXPECT_NE(message_of<InputError>([&] { check_address(address); }).find("HOST:PORT"),
              std::string::npos)
        << address;
  }
  check_address("[::1]:29500");
  check_address("teacher.example:1");
}

TEST(Connecting, ANameIsTakenByOneAndFreeAgainAtItsEnd) {
  const std::string name = testing::scratch_name();
  auto first = listen_shared(name);
  EXPECT_NE(message_of<InputError>([&] { listen_shared(name); }).find("another teacher"),
            std::string::npos);
  first.reset();
  EXPECT_TRUE(listen_shared(name));
}

TEST(Connecting, AQueueThatIsFullNeitherHangsNorCannotBeStopped) {
  const std::string name = testing::scratch_name();
  const auto listener = listen_shared(name);
  std::vector<std::unique_ptr<Channel>> waiting;
  std::string message;
  const auto begin = Clock::now();
  while (message.empty() && waiting.size() < 1000) {
    try {
      waiting.push_back(connect_shared(name, {.timeout_seconds = 0.3}));
    } catch (const DistributedError& error) {
      message = error.what();
    }
  }
  EXPECT_NE(message.find("takes no more students"), std::string::npos) << message;
  EXPECT_FALSE(message_of<Interrupted>([&] {
                 connect_shared(name, {.timeout_seconds = 60, .cancelled = [] { return true; }});
               }).empty());
  EXPECT_LT(Clock::now() - begin, 10s);
}

TEST(Connecting, WhoIsAcceptedByNobodyYetHearsThatTheTeacherLives) {
  const std::string name = testing::scratch_name();
  const auto listener = accept_in_background(listen_shared(name, {.beat_seconds = 0.05}));
  const auto far = connect_shared(name, {.timeout_seconds = 10});
  far->send(1, testing::bytes_of("early"));
  std::this_thread::sleep_for(600ms);
  EXPECT_LT(far->silence(), 0.4);
  const auto near = listener->accept(10);
  ASSERT_TRUE(near);
  near->set_limits({100, 0});
  EXPECT_EQ(testing::text_of(near->receive(10).value()), "early");
  EXPECT_FALSE(listener->accept(0.01));
}

/// All files that this process may have are open, until the end.
class NoFilesLeft {
 public:
  explicit NoFilesLeft(int left) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    struct rlimit few = before_;
    few.rlim_cur = 256;
    ::setrlimit(RLIMIT_NOFILE, &few);
    for (int file = ::dup(0); file >= 0; file = ::dup(0)) files_.push_back(file);
    for (; left > 0 && !files_.empty(); --left) close_one();
  }
  ~NoFilesLeft() {
    while (!files_.empty()) close_one();
    ::setrlimit(RLIMIT_NOFILE, &before_);
  }
  NoFilesLeft(const NoFilesLeft&) = delete;
  NoFilesLeft& operator=(const NoFilesLeft&) = delete;

 private:
  void close_one() {
    ::close(files_.back());
    files_.pop_back();
  }
  struct rlimit before_ {};
  std::vector<int> files_;
};

TEST(Connecting, AListenerWithoutFilesSaysSoAndTakesTheStudentLater) {
  const std::string name = testing::scratch_name();
  const auto listener = listen_shared(name);
  std::unique_ptr<Channel> far;
  std::exception_ptr thrown;
  {
    const NoFilesLeft none(1);
    far = connect_shared(name, {.timeout_seconds = 10});
    try {
      listener->accept(10);
    } catch (...) {  // sanitizers need files to look at it
      thrown = std::current_exception();
    }
  }
  ASSERT_TRUE(thrown);
  EXPECT_NE(message_of<IoError>([&] { std::rethrow_exception(thrown); }).find("open files"),
            std::string::npos);
  EXPECT_TRUE(listener->accept(10));
}

/// Fails for a while, as one without files does.
class FailingListener final : public Listener {
 public:
  FailingListener(std::unique_ptr<Listener> inner, std::atomic<int>& failures)
      : inner_(std::move(inner)), failures_(failures) {}
  std::unique_ptr<Channel> accept(double seconds) override {
    if (failures_ > 0) {
      --failures_;
      fail<IoError>("no more files");
    }
    return inner_->accept(seconds);
  }
  std::shared_ptr<Bulk> make_constant(const at::Tensor& bytes) override {
    return inner_->make_constant(bytes);
  }
  std::string describe() const override { return inner_->describe(); }

 private:
  std::unique_ptr<Listener> inner_;
  std::atomic<int>& failures_;
};

TEST(Connecting, TroubleIsToldOnceAndTriedAgainWithoutHaste) {
  const std::string name = testing::scratch_name();
  std::atomic<int> failures{1000};
  const auto listener =
      accept_in_background(std::make_unique<FailingListener>(listen_shared(name), failures));
  const auto far = connect_shared(name, {.timeout_seconds = 10});
  EXPECT_NE(message_of<DistributedError>([&] { listener->accept(10); }).find("no more files"),
            std::string::npos);
  EXPECT_FALSE(listener->accept(0.5)) << "told once";
  EXPECT_GT(failures, 980) << "ten times a second";
  EXPECT_LT(failures, 999);
  failures = 0;
  EXPECT_TRUE(listener->accept(10));
}

class ConnectingC10d : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!has_c10d()) GTEST_SKIP() << "built without gloo's headers";
  }
};

TEST_F(ConnectingC10d, AStudentThatGivesUpKeepsNobodyWaiting) {
  const auto listener = listen_c10d("127.0.0.1:0");
  const std::string where = listener->describe();
  const auto begin = Clock::now();
  EXPECT_NE(message_of<DistributedError>([&] {
              connect_c10d(where, {.timeout_seconds = 0.3});
            }).find("takes no student after"),
            std::string::npos);
  int looks = 0;
  EXPECT_FALSE(message_of<Interrupted>([&] {
                 connect_c10d(where, {.cancelled = [&] { return ++looks > 5; }});
               }).empty());
  std::unique_ptr<Channel> far;
  std::thread student([&] { far = connect_c10d(where, {.timeout_seconds = 10}); });
  const auto near = listener->accept(10);  // kept: the other end may not be done
  student.join();
  EXPECT_TRUE(near);
  EXPECT_LT(Clock::now() - begin, 8s) << "less than two need to meet";
}

TEST_F(ConnectingC10d, AStudentThatDiesInTheQueueKeepsNobodyWaiting) {
  const auto listener = listen_c10d("127.0.0.1:0");
  const std::string where = listener->describe();
  int looks = 0;
  const auto die = [&]() -> bool {
    if (++looks > 10) throw std::runtime_error("dies without a word");
    return false;
  };
  EXPECT_NE(message_of<DistributedError>([&] {
              connect_c10d(where, {.cancelled = die});
            }).find("its store is gone (dies"),
            std::string::npos)
      << "it had its number";
  const auto begin = Clock::now();
  std::unique_ptr<Channel> far;
  std::thread student([&] { far = connect_c10d(where, {.timeout_seconds = 10}); });
  const auto near = listener->accept(10);  // kept: the other end may not be done
  student.join();
  EXPECT_TRUE(near);
  EXPECT_LT(Clock::now() - begin, 5s);
}

/// Joins as docs/formats/teacher_process.md says, answers when it is called, and says nothing any
/// more: a student that was killed or stopped at that moment.
Store silent_student(const std::string& where) {
  c10d::TCPStoreOptions options;
  options.port = static_cast<std::uint16_t>(std::stoi(where.substr(where.rfind(':') + 1)));
  options.waitWorkers = false;
  Store store = c10::make_intrusive<c10d::TCPStore>("127.0.0.1", options);
  const auto number = store->add(detail::kJoinedKey, 1);
  store->set(detail::MeetingKeys(number).here, std::string("127.0.0.1"));
  return store;
}

TEST_F(ConnectingC10d, StudentsThatSayNothingAfterTheirCallKeepNobodyWaiting) {
  auto listener = listen_c10d("127.0.0.1:0");
  const std::string where = listener->describe();
  std::vector<Store> silent;
  for (int i = 0; i < 3; ++i) silent.push_back(silent_student(where));
  EXPECT_FALSE(listener->accept(0.2)) << "they do not come";
  const auto begin = Clock::now();
  std::unique_ptr<Channel> far;
  std::thread student([&] { far = connect_c10d(where, {.timeout_seconds = 8}); });
  const auto near = listener->accept(8);
  student.join();
  ASSERT_TRUE(near && far);
  EXPECT_LT(Clock::now() - begin, 5s) << "less than two need to meet";
  near->set_limits({100, 0});
  far->send(1, testing::bytes_of("hello"));
  EXPECT_EQ(testing::text_of(near->receive(10).value()), "hello");
  const auto end = Clock::now();
  listener.reset();
  EXPECT_LT(Clock::now() - end, 2s) << "nor is the teacher kept from its end";
}

TEST_F(ConnectingC10d, AStudentWhoseTeacherSaysNothingAfterTheCallCanBeStopped) {
  c10d::TCPStoreOptions options;
  options.port = 0;
  options.isServer = true;
  options.waitWorkers = false;
  const auto server = c10::make_intrusive<c10d::TCPStore>("127.0.0.1", options);
  const Store teacher = server;
  teacher->set(detail::kTeacherKey, std::string(detail::kTeacherValue));
  const detail::MeetingKeys keys(1);
  teacher->set(keys.ready, std::string("1"));
  const std::string where = "127.0.0.1:" + std::to_string(server->getPort());
  const auto begin = Clock::now();
  const auto has_come = [&] { return teacher->check({keys.here}); };
  EXPECT_NE(message_of<Interrupted>([&] {
              connect_c10d(where, {.timeout_seconds = 20, .cancelled = has_come});
            }).find("stopped while waiting"),
            std::string::npos);
  EXPECT_LT(Clock::now() - begin, 3s);
}

TEST_F(ConnectingC10d, ASocketThatSaysNothingKeepsNobodyWaiting) {
  const auto listener = listen_c10d("127.0.0.1:0");
  const std::string where = listener->describe();
  struct sockaddr_in address {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port =
      htons(static_cast<std::uint16_t>(std::stoi(where.substr(where.rfind(':') + 1))));
  std::vector<detail::Descriptor> sockets;
  for (const std::string& said : {std::string(), std::string("\x01"), std::string("GET /")}) {
    sockets.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int socket = sockets.back().get();
    ASSERT_EQ(::connect(socket, reinterpret_cast<struct sockaddr*>(&address), sizeof(address)), 0);
    ::send(socket, said.data(), said.size(), MSG_NOSIGNAL);
  }
  const auto begin = Clock::now();
  std::unique_ptr<Channel> far;
  std::thread student([&] { far = connect_c10d(where, {.timeout_seconds = 8}); });
  const auto near = listener->accept(8);  // kept: the other end may not be done
  student.join();
  EXPECT_TRUE(near);
  EXPECT_LT(Clock::now() - begin, 5s);
}

/// Inodes of this process's sockets that listen at all addresses.
std::set<std::string> open_to_all() {
  std::set<std::string> own;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    const std::string target = std::filesystem::read_symlink(entry.path(), gone).string();
    if (target.starts_with("socket:[")) own.insert(target.substr(8, target.size() - 9));
  }
  std::set<std::string> found;
  for (const char* table : {"/proc/self/net/tcp", "/proc/self/net/tcp6"}) {
    std::ifstream in(table);
    for (std::string line; std::getline(in, line);) {
      std::istringstream words(line);
      std::vector<std::string> columns{std::istream_iterator<std::string>(words), {}};
      if (columns.size() < 10 || columns[3] != "0A" || !own.contains(columns[9])) continue;
      const std::string host = columns[1].substr(0, columns[1].find(':'));
      if (std::ranges::all_of(host, [](char c) { return c == '0'; })) found.insert(columns[9]);
    }
  }
  return found;
}

TEST_F(ConnectingC10d, WhoListensEverywhereMeetsAStudentWhereThisCame) {
  const auto listener = listen_c10d("0.0.0.0:0");
  const std::string where = listener->describe();
  const auto before = open_to_all();
  EXPECT_EQ(before.size(), 1u) << "the store";
  std::unique_ptr<Channel> far;
  const std::string port = where.substr(where.rfind(':'));
  std::thread student([&] { far = connect_c10d("127.0.0.1" + port, {.timeout_seconds = 10}); });
  const auto near = listener->accept(10);
  student.join();
  ASSERT_TRUE(near && far);
  EXPECT_EQ(open_to_all(), before) << "0.0.0.0 is no address that another machine could use";
  near->set_limits({100, 0});
  far->send(1, testing::bytes_of("hello"));
  EXPECT_EQ(testing::text_of(near->receive(10).value()), "hello");
}

TEST_F(ConnectingC10d, APortThatIsTakenIsToldSo) {
  const auto listener = listen_c10d("127.0.0.1:0");
  EXPECT_NE(message_of<InputError>([&] {
              listen_c10d(listener->describe());
            }).find("another program listens there; choose another port"),
            std::string::npos);
}

TEST(Addresses, WildcardsAndNumbersAreKnown) {
  EXPECT_TRUE(detail::is_wildcard({"0.0.0.0", 1}));
  EXPECT_TRUE(detail::is_wildcard({"::", 1}));
  EXPECT_FALSE(detail::is_wildcard({"127.0.0.1", 1}));
  EXPECT_FALSE(detail::is_wildcard({"::1", 1}));
  EXPECT_TRUE(detail::is_numeric_host("10.0.0.7"));
  EXPECT_TRUE(detail::is_numeric_host("fe80::1"));
  for (const char* host : {"", "localhost", "10.0.0.7 ", "10.0.0", "::1]"}) {
    EXPECT_FALSE(detail::is_numeric_host(host)) << host;
  }
}

}  // namespace
}  // namespace distill::dist

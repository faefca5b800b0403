#include <fstream>
#include <optional>

#include <pthread.h>
#include <sys/resource.h>

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/data/dataset.h>

#include "data/batch_queue.h"
#include "support/byte_tokenizer.h"
#include "support/jsonl_file.h"
#include "support/recording_logger.h"
#include "support/temp_folder.h"

namespace distill::data {
namespace {

using testing::message_of;

/// While it lives threads ask for a stack of that size: where there is no room for one, the system
/// refuses the thread as it does when there are too many.
class StacksOf {
 public:
  explicit StacksOf(std::size_t bytes) {
    ::pthread_getattr_default_np(&before_);
    pthread_attr_t large = before_;
    ::pthread_attr_setstacksize(&large, bytes);
    ::pthread_setattr_default_np(&large);
  }
  ~StacksOf() { ::pthread_setattr_default_np(&before_); }
  StacksOf(const StacksOf&) = delete;
  StacksOf& operator=(const StacksOf&) = delete;

 private:
  pthread_attr_t before_{};
};

constexpr std::size_t kTooMuch = std::size_t{1} << 47;  // all addresses that there are
constexpr std::size_t kMuch = std::size_t{1} << 30;

class FewThreadsTest : public ::testing::Test {
 protected:
  std::shared_ptr<const Dataset> load() {
    return Dataset::load({{file_, 1.0}}, {},
                         RowReading{.tokenizer = tokenizer_, .threads = kThreads}, log_);
  }

  static constexpr std::int64_t kThreads = 8;
  testing::TempFolder folder_;
  std::string file_ = testing::write_lines(folder_ / "d.jsonl", {R"({"text": "one"})"});
  testing::ByteTokenizer tokenizer_;
  testing::RecordingLogger log_;
};

TEST_F(FewThreadsTest, NoneAtAllIsAnError) {
  const StacksOf stacks(kTooMuch);
  EXPECT_TRUE(message_of<Error>([&] { load(); }).starts_with("could not start a thread: "));
  EXPECT_TRUE(message_of<Error>([] {
                BatchQueue([](std::int64_t) { return types::Batch{}; }, 1, 2).next();
              }).starts_with("could not start a thread: "));
}

TEST_F(FewThreadsTest, SomeAreEnough) {
  std::int64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  if (pages == 0) GTEST_SKIP() << "no /proc/self/statm here";
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_AS, &before), 0);
  const rlim_t used = static_cast<rlim_t>(pages) * static_cast<rlim_t>(::sysconf(_SC_PAGESIZE));
  const rlimit room_for_some{used + 3 * kMuch + kMuch / 2, before.rlim_max};
  std::shared_ptr<const Dataset> data;
  {
    const StacksOf stacks(kMuch);
    ASSERT_EQ(::setrlimit(RLIMIT_AS, &room_for_some), 0);
    EXPECT_NO_THROW(data = load());
    ::setrlimit(RLIMIT_AS, &before);
  }
  ASSERT_NE(data, nullptr);
  EXPECT_EQ(data->report().documents, 1);
}

}  // namespace
}  // namespace distill::data

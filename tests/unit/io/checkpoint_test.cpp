#include <distill/io/checkpoint.h>

#include <set>

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/core/files.h>
#include <distill/core/hash.h>

#include "support/temp_folder.h"

namespace distill::io {
namespace {

using testing::message_of;
using testing::TempFolder;
namespace fs = std::filesystem;

/// Keeps the warnings.
class Recorder : public core::Logger {
 public:
  void write(core::LogLevel level, std::string_view message) override {
    EXPECT_EQ(level, core::LogLevel::kWarning);
    lines.emplace_back(message);
  }
  std::vector<std::string> lines;
};

std::set<std::string> names_in(const fs::path& folder) {
  std::set<std::string> names;
  for (const auto& item : fs::directory_iterator(folder))
    names.insert(item.path().filename().string());
  return names;
}

using Names = std::set<std::string>;

/// What a trainer writes, in small: two files and one in a folder.
void write_sample(const fs::path& folder, const std::string& content) {
  core::write_file_atomically(folder / "model.safetensors", "weights " + content);
  core::write_file_atomically(folder / "state.json", "{\"step\":" + content + "}");
  fs::create_directory(folder / "ranks");
  core::write_file_atomically(folder / "ranks" / "0.bin", std::string(100, 'r') + content);
}

void save_sample(CheckpointStore& store, std::int64_t step, std::int64_t keep = 2) {
  store.save(step, keep,
             [&](const fs::path& folder) { write_sample(folder, std::to_string(step)); });
}

std::int64_t newest_step(const CheckpointStore& store, Recorder& log) {
  const auto found = store.newest(log);
  return found ? found->step : -1;
}

TEST(CheckpointStore, SavesAndFinds) {
  const TempFolder folder;
  Recorder log;
  CheckpointStore store(folder / "run" / "checkpoints");
  EXPECT_FALSE(store.newest(log));
  save_sample(store, 200);
  const auto found = store.newest(log);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->step, 200);
  EXPECT_EQ(found->folder, folder / "run" / "checkpoints" / "step_00000200");
  EXPECT_EQ(names_in(found->folder),
            (Names{"checksums.json", "model.safetensors", "ranks", "state.json"}));
  EXPECT_EQ(core::read_file(found->folder / "model.safetensors", 100), "weights 200");
  EXPECT_TRUE(log.lines.empty());
  EXPECT_NO_THROW(CheckpointStore::verify(found->folder));
}

TEST(CheckpointStore, ManifestIsExactlyThis) {
  const TempFolder folder;
  CheckpointStore store(folder.path());
  store.save(7, 1, [](const fs::path& at) {
    core::write_file_atomically(at / "b", "bytes");
    core::write_file_atomically(at / "a", "");
  });
  EXPECT_EQ(
      core::read_file(folder / "step_00000007/checksums.json", 1000),
      "{\n \"format\": \"distill-checkpoint\",\n \"version\": 1,\n \"step\": 7,\n \"files\": {\n"
      "  \"a\": {\n   \"size\": 0,\n   \"xxh3_128\": \"99aa06d3014798d86001c324468d497f\"\n  },\n"
      "  \"b\": {\n   \"size\": 5,\n   \"xxh3_128\": \"" +
          core::hash_text("bytes") + "\"\n  }\n }\n}");
}

TEST(CheckpointStore, KeepsTheNewest) {
  const TempFolder folder;
  Recorder log;
  CheckpointStore store(folder.path());
  for (const std::int64_t step : {1, 2, 3, 100000000, 123456789}) save_sample(store, step, 2);
  EXPECT_EQ(names_in(folder.path()), (Names{"step_100000000", "step_123456789"}));
  EXPECT_EQ(newest_step(store, log), 123456789);
}

TEST(CheckpointStore, StepsFromBeforeAResumeAreTheOldest) {
  const TempFolder folder;
  Recorder log;
  CheckpointStore store(folder.path());
  save_sample(store, 200, 3);
  save_sample(store, 300, 3);
  fs::resize_file(folder / "step_00000300/model.safetensors", 3);
  EXPECT_EQ(newest_step(store, log), 200);
  save_sample(store, 250, 1);
  EXPECT_EQ(names_in(folder.path()), (Names{"step_00000250"}));
}

TEST(CheckpointStore, TheSameStepIsReplaced) {
  const TempFolder folder;
  Recorder log;
  CheckpointStore store(folder.path());
  save_sample(store, 5);
  store.save(5, 2, [](const fs::path& at) { core::write_file_atomically(at / "only", "new"); });
  EXPECT_EQ(newest_step(store, log), 5);
  EXPECT_EQ(names_in(folder / "step_00000005"), (Names{"checksums.json", "only"}));
  EXPECT_EQ(names_in(folder.path()), (Names{"step_00000005"}));
}

TEST(CheckpointStore, AnyFailureLeavesTheOldOnesAndNothingElse) {
  const TempFolder folder;
  Recorder log;
  CheckpointStore store(folder.path());
  save_sample(store, 1);
  const auto failing = [](const fs::path& at) {
    write_sample(at, "2");
    fail<IoError>((at / "model.safetensors").string(),
                  ": could not write it: No space left on device");
  };
  EXPECT_NE(message_of<IoError>([&] { store.save(2, 1, failing); }).find("No space left"),
            std::string::npos);
  EXPECT_THROW(store.save(2, 1, [](const fs::path&) { throw std::bad_alloc(); }), std::bad_alloc);
  EXPECT_EQ(names_in(folder.path()), (Names{"step_00000001"}));
  EXPECT_EQ(newest_step(store, log), 1);
  save_sample(store, 2);
  EXPECT_EQ(newest_step(store, log), 2);
}

TEST(CheckpointStore, RealFullDiskWhileWriting) {
  if (!fs::exists("/dev/full")) GTEST_SKIP() << "no /dev/full here";
  const TempFolder folder;
  CheckpointStore store(folder.path());
  save_sample(store, 1);
  const auto to_full_device = [](const fs::path& at) {
    core::AppendFile file("/dev/full");
    core::write_file_atomically(at / "first", "x");
    file.append("more");
  };
  EXPECT_NE(message_of<IoError>([&] { store.save(2, 1, to_full_device); }).find("No space left"),
            std::string::npos);
  EXPECT_EQ(names_in(folder.path()), (Names{"step_00000001"}));
}

TEST(CheckpointStore, RefusesWhatItCannotSeal) {
  const TempFolder folder;
  CheckpointStore store(folder.path());
  const auto refusal = [&](const std::function<void(const fs::path&)>& write) {
    return message_of<InputError>([&] { store.save(1, 1, write); });
  };
  EXPECT_NE(refusal([](const fs::path& at) {
              core::write_file_atomically(at / "checksums.json", "{}");
            }).find("reserved"),
            std::string::npos);
  EXPECT_NE(refusal([](const fs::path& at) {
              fs::create_symlink("/etc/hostname", at / "link");
            }).find("only regular files"),
            std::string::npos);
  EXPECT_NE(refusal([](const fs::path& at) {
              ASSERT_EQ(::mkfifo((at / "p").c_str(), 0600), 0);
            }).find("only regular files"),
            std::string::npos);
  EXPECT_THROW(save_sample(store, -1), InputError);
  EXPECT_THROW(save_sample(store, 1, 0), InputError);
  EXPECT_TRUE(names_in(folder.path()).empty());
}

TEST(CheckpointStore, LeftoversOfAKillAreRemoved) {
  const TempFolder folder;
  Recorder log;
  {
    CheckpointStore store(folder.path());
    save_sample(store, 1);
  }
  for (const char* name :
       {".tmp-step_00000002", ".tmp-delete-step_00000003", ".old-step_00000001"}) {
    fs::create_directories(folder / name / "deep");
    core::write_file_atomically(folder / name / "model.safetensors", "half");
  }
  fs::create_directory(folder / ".tmp-of-someone-else");
  CheckpointStore store(folder.path());
  EXPECT_EQ(names_in(folder.path()), (Names{".tmp-of-someone-else", "step_00000001"}));
  // Before each save too.
  fs::create_directory(folder / ".tmp-step_00000002");
  save_sample(store, 2);
  EXPECT_EQ(newest_step(store, log), 2);
  EXPECT_FALSE(fs::exists(folder / ".tmp-step_00000002"));
}

TEST(CheckpointStore, AKillWhileReplacingPutsTheOldOneBack) {
  const TempFolder folder;
  Recorder log;
  {
    CheckpointStore store(folder.path());
    save_sample(store, 1);
  }
  fs::rename(folder / "step_00000001", folder / ".old-step_00000001");
  const CheckpointStore store(folder.path());
  EXPECT_EQ(newest_step(store, log), 1);
}

/// Saves steps without end (the same one now and then), until killed.
[[noreturn]] void save_for_ever(const fs::path& root) {
  CheckpointStore store(root);
  for (std::int64_t step = 1;; ++step) {
    save_sample(store, step, 2);
    save_sample(store, step, 2);
  }
}

TEST(CheckpointStore, AKillAtAnyMomentLeavesWholeCheckpointsOnly) {
  const TempFolder folder;
  Recorder log;
  {
    CheckpointStore store(folder.path());
    save_sample(store, 0);
  }
  for (int trial = 0; trial < 25; ++trial) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) save_for_ever(folder.path());
    ::usleep(5000 + 8111u * static_cast<unsigned>(trial));
    ::kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));
    const CheckpointStore store(folder.path());
    EXPECT_TRUE(store.newest(log));
    for (const std::string& name : names_in(folder.path())) {
      EXPECT_TRUE(name.starts_with("step_")) << name;
      EXPECT_NO_THROW(CheckpointStore::verify(folder / name));
    }
  }
  EXPECT_TRUE(log.lines.empty());
}

TEST(CheckpointStore, NamesAloneAreNotTrusted) {
  const TempFolder folder;
  Recorder log;
  CheckpointStore store(folder.path());
  save_sample(store, 1, 1);
  for (const char* name : {"step_00000009", "step_9", "step_", "step_00000008.bak", "step_-0000009",
                           "7", "step_99999999999999999999"}) {
    fs::create_directory(folder / name);
    core::write_file_atomically(folder / name / "model.safetensors", "mine");
  }
  core::write_file_atomically(folder / "step_00000010", "a file");
  EXPECT_EQ(newest_step(store, log), 1);
  ASSERT_EQ(log.lines.size(), 1u);
  EXPECT_NE(log.lines[0].find("step_00000009/checksums.json: no such file"), std::string::npos)
      << log.lines[0];
  // What is not ours is not deleted either.
  save_sample(store, 2, 1);
  EXPECT_TRUE(fs::exists(folder / "step_00000009"));
  EXPECT_FALSE(fs::exists(folder / "step_00000001"));
}

TEST(CheckpointStore, ACopyUnderAnotherNameIsRefused) {
  const TempFolder folder;
  Recorder log;
  CheckpointStore store(folder.path());
  save_sample(store, 1);
  fs::copy(folder / "step_00000001", folder / "step_00000002", fs::copy_options::recursive);
  EXPECT_EQ(newest_step(store, log), 1);
  ASSERT_EQ(log.lines.size(), 1u);
  EXPECT_NE(log.lines[0].find("`step` is 1, the folder's name says 2"), std::string::npos)
      << log.lines[0];
}

/// Runs `damage` on every file of the newest of two checkpoints and expects the older one, with a
/// warning that names the file.
void expect_fallback(const std::string& name, const std::function<void(const fs::path&)>& damage) {
  const TempFolder folder;
  Recorder log;
  CheckpointStore store(folder.path());
  save_sample(store, 1);
  save_sample(store, 2);
  damage(folder / "step_00000002" / name);
  EXPECT_EQ(newest_step(store, log), 1) << name;
  ASSERT_EQ(log.lines.size(), 1u) << name;
  EXPECT_NE(log.lines[0].find("step_00000002/" + name), std::string::npos) << log.lines[0];
  EXPECT_EQ(log.lines[0].find('\n'), std::string::npos);
}

TEST(CheckpointStore, DamageToAnyFileFallsBack) {
  for (const char* name : {"model.safetensors", "state.json", "ranks/0.bin", "checksums.json"}) {
    expect_fallback(name, [](const fs::path& file) { fs::remove(file); });
    expect_fallback(name, [](const fs::path& file) { fs::resize_file(file, 0); });
    expect_fallback(name,
                    [](const fs::path& file) { fs::resize_file(file, fs::file_size(file) - 1); });
    expect_fallback(name, [](const fs::path& file) {
      fs::remove(file);
      fs::create_directory(file);
    });
  }
}

void flip_bit(const fs::path& file, std::size_t bit) {
  std::string content = core::read_file(file, 1 << 20);
  content[bit / 8] = static_cast<char>(content[bit / 8] ^ (1 << (bit % 8)));
  const int descriptor = ::open(file.c_str(), O_WRONLY);
  ASSERT_EQ(::pwrite(descriptor, content.data(), content.size(), 0),
            static_cast<ssize_t>(content.size()));
  ::close(descriptor);
}

TEST(CheckpointStore, EveryFlippedBitIsDetected) {
  const TempFolder folder;
  CheckpointStore store(folder.path());
  save_sample(store, 3);
  const fs::path checkpoint = folder / "step_00000003";
  for (const char* name : {"model.safetensors", "state.json", "ranks/0.bin", "checksums.json"}) {
    const fs::path file = checkpoint / name;
    for (std::size_t bit = 0; bit < fs::file_size(file) * 8; ++bit) {
      flip_bit(file, bit);
      EXPECT_THROW(CheckpointStore::verify(checkpoint), Error) << name << " bit " << bit;
      flip_bit(file, bit);
    }
  }
  EXPECT_NO_THROW(CheckpointStore::verify(checkpoint));
}

TEST(CheckpointStore, HostileManifests) {
  const TempFolder folder;
  CheckpointStore store(folder.path());
  save_sample(store, 3);
  const fs::path checkpoint = folder / "step_00000003";
  const auto refusal = [&](const std::string& manifest) {
    core::write_file_atomically(checkpoint / "checksums.json", manifest);
    return message_of<Error>([&] { CheckpointStore::verify(checkpoint); });
  };
  const auto with_files = [&](const std::string& files) {
    return refusal(R"({"format":"distill-checkpoint","version":1,"step":3,"files":)" + files + "}");
  };
  const std::string entry = R"({"size":1,"xxh3_128":"00"})";
  EXPECT_NE(with_files("[]").find("`files` must be an object"), std::string::npos);
  for (const char* name : {"../x", "/etc/hostname", "", "a/../../x", ".", "a\\u0000b", "a/"}) {
    EXPECT_NE(with_files("{\"" + std::string(name) + "\":" + entry + "}")
                  .find("a path inside the checkpoint"),
              std::string::npos)
        << name;
  }
  EXPECT_NE(with_files("{\"missing\":" + entry + "}").find("missing: no such file"),
            std::string::npos);
  EXPECT_NE(with_files(R"({"state.json":{"size":-1,"xxh3_128":""}})").find("it is -1"),
            std::string::npos);
  EXPECT_NE(with_files(R"({"state.json":{"size":1}})").find("has 1 members, expected 2"),
            std::string::npos);
  EXPECT_NE(refusal(R"({"format":"other","version":1,"step":3,"files":{}})")
                .find("must be `distill-checkpoint`"),
            std::string::npos);
  EXPECT_NE(refusal(R"({"format":"distill-checkpoint","version":2,"step":3,"files":{}})")
                .find("version 2"),
            std::string::npos);
  EXPECT_NE(refusal(R"({"format":"distill-checkpoint","version":1,"step":3,"files":{},"x":1})")
                .find("5 members"),
            std::string::npos);
  EXPECT_THROW(CheckpointStore::verify(folder.path()), InputError);
}

}  // namespace
}  // namespace distill::io

#include <distill/io/resumable_jsonl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <limits>
#include <span>
#include <system_error>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <distill/core/error.h>
#include <distill/core/files.h>
#include <distill/core/json_writer.h>
#include <distill/core/paths.h>
#include <distill/core/strings.h>

#include "io/sealed_record.h"

namespace distill::io {

namespace fs = std::filesystem;

namespace {

/// Part of the file format, do not change.
constexpr const char* kFormatName = "distill-partial";
constexpr std::int64_t kVersion = 1;

constexpr const char* kBeginAnew = "add --restart to begin anew";

[[noreturn]] void fail_io(const fs::path& path, const char* doing, int code) {
  fail<IoError>(core::shown(path), ": could not ", doing, ": ",
                std::generic_category().message(code));
}

fs::path with_ending(fs::path path, const char* ending) {
  path += ending;
  return path;
}

void append_all(int descriptor, const fs::path& path, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(descriptor, text.data(), text.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      fail_io(path, "write it", errno);
    }
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

/// The first `bytes` of a file; throws where it is shorter.
void hash_beginning(const fs::path& path, std::uint64_t bytes, core::Hasher& hasher) {
  core::InputFile file(path);
  std::array<std::byte, 1 << 16> buffer;
  while (bytes > 0) {
    const auto wanted = std::min<std::uint64_t>(bytes, buffer.size());
    const std::size_t count = file.read(std::span(buffer.data(), wanted));
    if (count == 0) {
      fail<FormatError>(core::shown(path), ": shorter than what was written; ", kBeginAnew);
    }
    hasher.add(std::span<const std::byte>(buffer.data(), count));
    bytes -= count;
  }
}

}  // namespace

ResumableJsonl::ResumableJsonl(ResumableOptions options)
    : options_(std::move(options)),
      partial_(with_ending(options_.path, ".partial")),
      state_(with_ending(options_.path, ".state")) {
  const bool made = open();
  try {
    if (core::path_exists(options_.path)) {
      if (!was_finished()) {
        fail<InputError>(core::shown(options_.path), ": exists; name another file, or remove it");
      }
      clean_up();
      return;
    }
    if (options_.restart || !go_on()) begin();
  } catch (...) {
    if (made) ::unlink(partial_.c_str());
    ::close(descriptor_);
    throw;
  }
}

ResumableJsonl::~ResumableJsonl() {
  if (!finished_ && !progress_ && !committed_) {  // nothing to go on with
    ::unlink(state_.c_str());
    ::unlink(partial_.c_str());
  }
  if (descriptor_ >= 0) ::close(descriptor_);
}

bool ResumableJsonl::open() {
  constexpr int kTries = 10;
  constexpr int kFlags = O_RDWR | O_APPEND | O_CLOEXEC | O_NONBLOCK;
  for (int i = 0; i < kTries; ++i) {
    descriptor_ = ::open(partial_.c_str(), kFlags | O_CREAT | O_EXCL, 0644);
    const bool made = descriptor_ >= 0;
    if (!made && errno == EEXIST) descriptor_ = ::open(partial_.c_str(), kFlags);
    if (descriptor_ < 0 && errno == ENOENT) continue;  // renamed in between
    if (descriptor_ < 0) fail_io(partial_, "open it", errno);
    struct stat locked {};
    struct stat there {};
    const bool is_ours = ::flock(descriptor_, LOCK_EX | LOCK_NB) == 0;
    const bool is_file = ::fstat(descriptor_, &locked) == 0 && S_ISREG(locked.st_mode);
    // Whoever held the lock before may have renamed the file.
    if (is_ours && is_file && ::stat(partial_.c_str(), &there) == 0 &&
        locked.st_dev == there.st_dev && locked.st_ino == there.st_ino) {
      return made;
    }
    ::close(descriptor_);
    descriptor_ = -1;
    if (!is_file) fail<InputError>(core::shown(partial_), ": not a regular file");
    if (!is_ours) {
      fail<InputError>(core::shown(partial_),
                       ": another process is writing it; wait for it to end");
    }
  }
  fail<InputError>(core::shown(partial_), ": another process keeps renaming it");
}

JsonValue ResumableJsonl::read_state() const {
  JsonValue value = parse_json(unsealed(state_, kBeginAnew), core::shown(state_));
  const JsonCursor state(value, core::shown(state_));
  if (state.at("format").as_string() != kFormatName || state.at("version").as_int() != kVersion) {
    state.fail(core::concat("is not of format ", kFormatName, " ", kVersion, "; ", kBeginAnew));
  }
  check_facts(state.at("facts"));
  return value;
}

void ResumableJsonl::check_bytes(const JsonCursor& state, const fs::path& path) {
  bytes_ = static_cast<std::uint64_t>(
      state.at("bytes").int_in(0, std::numeric_limits<std::int64_t>::max()));
  hash_beginning(path, bytes_, hasher_);
  if (hasher_.hex() != state.at("xxh3_128").as_string()) {
    fail<FormatError>(core::shown(path), ": damaged, its checksum is another one; ", kBeginAnew);
  }
  if (state.has("progress")) progress_ = state.at("progress").value();
}

bool ResumableJsonl::was_finished() {
  if (!core::path_exists(state_)) return false;
  try {
    const JsonValue value = read_state();
    check_bytes(JsonCursor(value, core::shown(state_)), options_.path);
    return bytes_ == core::InputFile(options_.path).size();
  } catch (const InputError&) {
    return false;  // it belongs to something else
  }
}

bool ResumableJsonl::go_on() {
  if (!core::path_exists(state_)) {
    struct stat status {};
    if (::fstat(descriptor_, &status) != 0) fail_io(partial_, "look at it", errno);
    if (status.st_size > 0) {
      fail<InputError>(core::shown(partial_), ": exists without ", core::shown(state_.filename()),
                       "; ", kBeginAnew);
    }
    return false;
  }
  const JsonValue value = read_state();
  check_bytes(JsonCursor(value, core::shown(state_)), partial_);
  if (::ftruncate(descriptor_, static_cast<off_t>(bytes_)) != 0) {
    fail_io(partial_, "cut it off", errno);
  }
  return true;
}

void ResumableJsonl::check_facts(const JsonCursor& saved) const {
  std::vector<std::string> differences;
  const auto differ = [&](const std::string& name, const std::string& was, const std::string& is) {
    differences.push_back(core::concat("`", core::printable(name), "` was ", core::printable(was),
                                       " and is ", core::printable(is)));
  };
  for (const auto& [name, value] : options_.facts) {
    const JsonValue* old = saved.as_object().find(name);
    const std::string was = old == nullptr ? "not there" : saved.at(name).as_string();
    if (old == nullptr || was != value) differ(name, was, value);
  }
  for (const auto& [name, value] : saved.as_object().members()) {
    const auto has_name = [&](const auto& fact) { return fact.first == name; };
    if (std::ranges::none_of(options_.facts, has_name)) {
      differ(name, saved.at(name).as_string(), "not there");
    }
  }
  if (differences.empty()) return;
  fail<InputError>(core::shown(partial_),
                   ": was begun with something else: ", core::join(differences),
                   "; give the same again, or ", kBeginAnew);
}

void ResumableJsonl::begin() {
  // The state goes first: lines without one are never taken for work to go on with.
  if (core::path_exists(state_) && ::unlink(state_.c_str()) != 0) {
    fail_io(state_, "remove it", errno);
  }
  if (::ftruncate(descriptor_, 0) != 0) fail_io(partial_, "empty it", errno);
  write_state("");
}

void ResumableJsonl::write_state(const std::string& progress) {
  core::JsonWriter json;
  json.begin_object().member("format", kFormatName).member("version", kVersion);
  json.key("facts").begin_object();
  for (const auto& [name, value] : options_.facts) json.member(name, value);
  json.end_object().member("bytes", bytes_).member("xxh3_128", hasher_.hex());
  if (!progress.empty()) json.key("progress").raw(progress);
  json.end_object();
  // Always the same name: what a kill leaves of it is overwritten by the next one.
  const fs::path fresh = with_ending(state_, ".new");
  const int file = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file < 0) fail_io(fresh, "create it", errno);
  try {
    append_all(file, fresh, sealed(json.text()));
    if (::fsync(file) != 0) fail_io(fresh, "flush it to disk", errno);
  } catch (...) {
    ::close(file);
    ::unlink(fresh.c_str());
    throw;
  }
  ::close(file);
  core::rename_durably(fresh, state_);
}

void ResumableJsonl::write(std::string_view line) {
  waiting_.append(line);
  waiting_ += '\n';
}

void ResumableJsonl::commit_part(const std::string& progress) {
  append_all(descriptor_, partial_, waiting_);
  if (::fdatasync(descriptor_) != 0) fail_io(partial_, "flush it to disk", errno);
  hasher_.add(std::string_view(waiting_));
  bytes_ += waiting_.size();
  waiting_.clear();
  committed_ = true;
  write_state(progress);
}

void ResumableJsonl::finish() {
  if (::fsync(descriptor_) != 0) fail_io(partial_, "flush it to disk", errno);
  core::rename_durably(partial_, options_.path);
  // Killed right here, the state is left; the next call sees that all is done.
  if (::unlink(state_.c_str()) != 0) fail_io(state_, "remove it", errno);
  ::close(descriptor_);
  descriptor_ = -1;
  finished_ = true;
}

void ResumableJsonl::clean_up() {
  if (::unlink(partial_.c_str()) != 0) fail_io(partial_, "remove it", errno);
  if (::unlink(state_.c_str()) != 0) fail_io(state_, "remove it", errno);
  finished_ = true;
}

}  // namespace distill::io

#include "io/checkpoint_manifest.h"

#include <algorithm>
#include <cerrno>
#include <string>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#include <distill/core/error.h>
#include <distill/core/files.h>
#include <distill/core/hash.h>
#include <distill/core/json_writer.h>
#include <distill/core/strings.h>
#include <distill/io/json_value.h>

namespace distill::io::detail {

namespace fs = std::filesystem;

namespace {

/// Part of the checkpoint format, do not change.
constexpr const char* kFormatName = "distill-checkpoint";
constexpr std::int64_t kVersion = 1;

void sync_file(const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  const int synced = descriptor < 0 ? -1 : ::fsync(descriptor);
  const int code = errno;
  if (descriptor >= 0) ::close(descriptor);
  if (synced != 0) {
    fail<IoError>(path.string(),
                  ": could not flush it to disk: ", std::generic_category().message(code));
  }
}

struct Tree {
  std::vector<fs::path> files;
  std::vector<fs::path> folders;  ///< parents before children
};

Tree walk(const fs::path& folder) {
  Tree tree;
  std::error_code code;
  tree.folders.push_back(folder);
  for (fs::recursive_directory_iterator item(folder, code), end; !code && item != end;
       item.increment(code)) {
    const auto type = item->symlink_status(code).type();
    if (code) break;
    if (type == fs::file_type::directory) {
      tree.folders.push_back(item->path());
    } else if (type == fs::file_type::regular) {
      tree.files.push_back(item->path());
    } else {
      fail<InputError>(item->path().string(),
                       ": a checkpoint holds only regular files and folders");
    }
  }
  if (code) fail<IoError>(folder.string(), ": could not list the folder: ", code.message());
  std::sort(tree.files.begin(), tree.files.end());
  return tree;
}

std::string manifest_text(const fs::path& folder, const std::vector<fs::path>& files,
                          std::int64_t step) {
  core::JsonWriter json(1);
  json.begin_object()
      .member("format", kFormatName)
      .member("version", kVersion)
      .member("step", step);
  json.key("files").begin_object();
  for (const fs::path& file : files) {
    std::error_code code;
    const std::uint64_t size = fs::file_size(file, code);
    if (code) fail<IoError>(file.string(), ": could not look at it: ", code.message());
    json.key(file.lexically_relative(folder).generic_string()).begin_object();
    json.member("size", size).member("xxh3_128", core::hash_file(file)).end_object();
  }
  json.end_object().end_object();
  return json.text();  // no newline: losing it could not be noticed
}

/// A path below the folder: no step up, no absolute path.
fs::path relative_path(const std::string& name, const JsonCursor& where) {
  const fs::path path(name);
  bool plain = !name.empty() && name.find('\0') == std::string::npos && path.is_relative();
  for (const fs::path& part : path) plain = plain && !part.empty() && part != "." && part != "..";
  if (!plain)
    where.fail("names `" + core::printable(name) + "`, expected a path inside the checkpoint");
  return path;
}

void require_members(const JsonCursor& json, std::size_t expected) {
  if (json.as_object().size() != expected) {
    json.fail(core::concat("has ", json.size(), " members, expected ", expected));
  }
}

void verify_file(const fs::path& file, const JsonCursor& expected) {
  require_members(expected, 2);
  const std::int64_t size = expected.at("size").int_in(0, INT64_MAX);
  const std::string& hash = expected.at("xxh3_128").as_string();
  const auto actual = core::MappedFile::open(file).bytes().size();
  if (actual != static_cast<std::uint64_t>(size)) {
    fail<FormatError>(file.string(), ": ", actual, " bytes, its checkpoint was written with ",
                      size);
  }
  if (core::hash_file(file) != hash) {
    fail<FormatError>(file.string(), ": damaged, its bytes do not match the checksum in ",
                      kManifestName);
  }
}

}  // namespace

void seal_checkpoint(const fs::path& folder, std::int64_t step) {
  const Tree tree = walk(folder);
  for (const fs::path& file : tree.files) {
    if (file == folder / kManifestName) {
      fail<InputError>(file.string(), ": this name is reserved for the checkpoint's checksums");
    }
    if (!core::is_utf8(file.filename().string())) {
      fail<InputError>(core::printable(file.string(), 200), ": file names must be UTF-8");
    }
    sync_file(file);
  }
  core::write_file_atomically(folder / kManifestName, manifest_text(folder, tree.files, step));
  for (auto child = tree.folders.rbegin(); child != tree.folders.rend(); ++child) {
    core::sync_folder(*child);
  }
}

void verify_checkpoint(const fs::path& folder, std::int64_t step) {
  JsonLimits limits;
  limits.max_bytes = std::uint64_t{16} << 20;
  limits.max_depth = 3;
  const fs::path path = folder / kManifestName;
  const JsonValue json = read_json_file(path, limits);
  const JsonCursor manifest(json, path.string());
  if (manifest.at("format").as_string() != kFormatName) {
    manifest.at("format").fail(core::concat("must be `", kFormatName, "`"));
  }
  if (const std::int64_t version = manifest.at("version").as_int(); version != kVersion) {
    fail<UnsupportedError>(path.string(), ": version ", version, ", this build reads version ",
                           kVersion);
  }
  require_members(manifest, 4);
  if (manifest.at("step").as_int() != step) {
    manifest.at("step").fail(
        core::concat("is ", manifest.at("step").as_int(), ", the folder's name says ", step));
  }
  const JsonCursor files = manifest.at("files");
  for (const auto& [name, value] : files.as_object().members()) {
    verify_file(folder / relative_path(name, files), files.at(name));
  }
}

}  // namespace distill::io::detail

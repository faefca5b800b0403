#include "io/sealed_record.h"

#include <cstdint>

#include <distill/core/error.h>
#include <distill/core/files.h>
#include <distill/core/hash.h>
#include <distill/core/paths.h>

namespace distill::io {

namespace {

constexpr std::uint64_t kMaxBytes = std::uint64_t{4} << 20;

}  // namespace

std::string sealed(const std::string& record) {
  return record + "\n" + core::hash_text(record) + "\n";
}

std::string unsealed(const std::filesystem::path& path, const std::string& advice) {
  const std::string text = core::read_file(path, kMaxBytes);
  const std::string record = text.substr(0, text.find('\n'));
  if (text != sealed(record)) {
    fail<FormatError>(core::shown(path), ": damaged, its checksum is another one; ", advice);
  }
  return record;
}

}  // namespace distill::io

#include <distill/teachers/cache_head.h>

#include <array>
#include <charconv>

#include <distill/core/error.h>
#include <distill/core/hash.h>
#include <distill/core/paths.h>
#include <distill/core/strings.h>
#include <distill/io/safetensors.h>

namespace distill::teachers {

namespace fs = std::filesystem;

namespace {

constexpr const char* kTensor = "head";  // part of the format

/// With all its digits.
std::string text_of(double value) {
  std::array<char, 32> text{};
  const auto written = std::to_chars(text.data(), text.data() + text.size(), value);
  return {text.data(), written.ptr};
}

double number_in(const io::SafetensorsFile& file, const char* name) {
  const auto found = file.metadata().find(name);
  double value = 0;
  const std::string text = found == file.metadata().end() ? "" : found->second;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  if (read.ec != std::errc() || read.ptr != text.data() + text.size()) {
    fail<FormatError>(core::shown(file.path()), ": its metadata has no number `", name, "`");
  }
  return value;
}

}  // namespace

std::string write_cache_head(const fs::path& path, const types::DenseHidden& signal) {
  const at::Tensor head = signal.head.detach().to(at::kCPU, at::kBFloat16).contiguous();
  io::write_safetensors(
      path, {{kTensor, head}},
      {{"scale", text_of(signal.transform.scale)}, {"softcap", text_of(signal.transform.softcap)}});
  return core::hash_file(path);
}

CacheHead read_cache_head(const io::LogitCacheInfo& cache) {
  const fs::path path = cache.folder / io::kCacheHeadFile;
  if (core::hash_file(path) != cache.spec.fact(io::kCacheHeadFact)) {
    fail<FormatError>(core::shown(path),
                      ": is damaged or of another cache, its checksum is another one; capture it "
                      "again with `distill cache --restart`");
  }
  const auto file = io::SafetensorsFile::open(path);
  const auto* entry = file.find(kTensor);
  const bool fits = entry != nullptr && entry->dtype == at::kBFloat16 && entry->shape.size() == 2 &&
                    entry->shape[1] == cache.spec.size && entry->shape[0] >= cache.spec.vocabulary;
  if (!fits) fail<FormatError>(core::shown(path), ": holds no head of this cache's teacher");
  return {file.tensor(*entry), {number_in(file, "scale"), number_in(file, "softcap")}};
}

}  // namespace distill::teachers

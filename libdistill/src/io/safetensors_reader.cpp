#include <algorithm>
#include <bit>
#include <cstring>

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include <distill/core/checked.h>
#include <distill/core/error.h>
#include <distill/core/strings.h>
#include <distill/io/json_value.h>
#include <distill/io/safetensors.h>

#include "io/safetensors_format.h"

namespace distill::io {

static_assert(std::endian::native == std::endian::little, "safetensors files are little-endian");

namespace {

using core::printable;

constexpr std::size_t kMaxDimensions = 64;

/// The header's text, after checks on the file's first bytes.
std::string_view header_text(const core::MappedFile& file) {
  const std::string_view bytes = file.text();
  const std::string name = file.path().string();
  if (bytes.starts_with("version ") && bytes.size() < 1024) {
    fail<FormatError>(name, ": a git-lfs pointer, not the tensors themselves; run `git lfs pull`");
  }
  if (bytes.size() < detail::kLengthBytes) {
    fail<FormatError>(
        name, ": ", bytes.size(),
        " bytes, expected at least 8 for the header's length; copy or download it again");
  }
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data(), sizeof(length));
  if (length > detail::kMaxHeaderBytes) {
    fail<FormatError>(name, "@0: the header's length is ", length, ", expected at most ",
                      detail::kMaxHeaderBytes, "; not a safetensors file, or damaged");
  }
  if (length > bytes.size() - detail::kLengthBytes) {
    fail<FormatError>(name, "@0: the header's length is ", length, ", the file holds ",
                      bytes.size() - detail::kLengthBytes,
                      " bytes after it; copy or download it again");
  }
  const std::string_view header = bytes.substr(detail::kLengthBytes, length);
  if (!header.starts_with('{')) {
    fail<FormatError>(name, "@8: the header must begin with `{`, it begins with `",
                      printable(header.substr(0, 8)), "`");
  }
  return header;
}

JsonValue parse_header(const core::MappedFile& file) {
  JsonLimits limits;
  limits.max_bytes = detail::kMaxHeaderBytes;
  limits.max_depth = 3;
  limits.max_values = 2'000'000;
  return parse_json(header_text(file), file.path().string() + ": header", limits);
}

std::map<std::string, std::string> read_metadata(const JsonCursor& metadata) {
  std::map<std::string, std::string> result;
  for (const auto& [name, value] : metadata.as_object().members()) {
    result.emplace(name, metadata.at(name).as_string());
  }
  return result;
}

std::vector<std::int64_t> read_shape(const JsonCursor& shape) {
  std::vector<std::int64_t> sizes;
  if (shape.size() > kMaxDimensions) {
    shape.fail(
        core::concat("has ", shape.size(), " dimensions, expected at most ", kMaxDimensions));
  }
  for (std::size_t i = 0; i < shape.as_array().size(); ++i) {
    sizes.push_back(shape.at(i).int_in(0, INT64_MAX));
  }
  return sizes;
}

/// Bytes of a tensor of this shape. Strides must fit too, so a zero does not hide large sizes.
std::uint64_t checked_bytes(const TensorEntry& entry, const JsonCursor& where) {
  std::vector<std::int64_t> at_least_one = entry.shape;
  for (auto& size : at_least_one) size = std::max<std::int64_t>(size, 1);
  const auto itemsize = static_cast<std::uint64_t>(c10::elementSize(entry.dtype));
  const auto elements = core::checked_product(at_least_one);
  const auto bytes = elements ? core::checked_mul(*elements, itemsize) : std::nullopt;
  if (!bytes || !core::checked_cast<std::int64_t>(*bytes)) {
    where.fail("is larger than any file can be");
  }
  return *core::checked_product(entry.shape) * itemsize;
}

TensorEntry read_entry(const std::string& name, const JsonCursor& json) {
  for (const auto& [member, value] : json.as_object().members()) {
    if (member != "dtype" && member != "shape" && member != "data_offsets") {
      json.fail("has an unknown member `" + printable(member, 40) +
                "`, expected dtype, shape and data_offsets");
    }
  }
  TensorEntry entry;
  entry.name = name;
  const std::string& dtype = json.at("dtype").as_string();
  const auto known = detail::safetensors_dtype(dtype);
  if (!known) {
    fail<UnsupportedError>(json.where(), " has dtype `", printable(dtype, 20),
                           "`, which is not supported; convert it to F32, BF16 or F16");
  }
  entry.dtype = *known;
  entry.shape = read_shape(json.at("shape"));
  const JsonCursor offsets = json.at("data_offsets");
  if (offsets.as_array().size() != 2) {
    offsets.fail(core::concat("must be two numbers, it has ", offsets.size()));
  }
  entry.begin = static_cast<std::uint64_t>(offsets.at(0).int_in(0, INT64_MAX));
  entry.end = static_cast<std::uint64_t>(offsets.at(1).int_in(0, INT64_MAX));
  if (entry.end < entry.begin) {
    offsets.fail(core::concat("ends at ", entry.end, ", before its begin at ", entry.begin));
  }
  const std::uint64_t bytes = checked_bytes(entry, json.at("shape"));
  if (entry.end - entry.begin != bytes) {
    json.fail(core::concat("takes ", entry.end - entry.begin,
                           " bytes, its shape and dtype ask for ", bytes));
  }
  return entry;
}

/// The entries, sorted by their bytes, must fill [0, data_bytes) without hole or overlap.
void require_exact_cover(const std::vector<TensorEntry>& entries, std::uint64_t data_bytes,
                         const std::string& file) {
  std::uint64_t expected = 0;
  for (const TensorEntry& entry : entries) {
    if (entry.begin != expected) {
      fail<FormatError>(file, ": `", printable(entry.name), "` begins at byte ", entry.begin,
                        " of the data, expected ", expected, ": ",
                        entry.begin < expected ? "tensors overlap" : "there is a hole before it");
    }
    expected = entry.end;
  }
  if (expected < data_bytes) {
    fail<FormatError>(file, ": ", data_bytes - expected,
                      " bytes after the last tensor, expected none");
  }
  if (expected > data_bytes) {
    fail<FormatError>(file, ": the header promises ", expected,
                      " bytes of tensors, the file holds ", data_bytes,
                      "; it is cut short, copy or download it again");
  }
}

/// A bool that is neither 0 nor 1 is undefined behaviour in C++.
void require_bools(std::span<const std::byte> bytes, const std::string& name,
                   const std::string& file) {
  const auto bad =
      std::find_if(bytes.begin(), bytes.end(), [](std::byte b) { return b > std::byte{1}; });
  if (bad != bytes.end()) {
    fail<FormatError>(file, ": `", printable(name), "` is BOOL but holds the byte ",
                      std::to_integer<int>(*bad), ", expected 0 or 1");
  }
}

}  // namespace

SafetensorsFile SafetensorsFile::open(const std::filesystem::path& path) {
  SafetensorsFile result;
  result.file_ = core::MappedFile::open(path);
  const std::string file = path.string();
  const JsonValue header = parse_header(result.file_);
  result.data_begin_ = detail::kLengthBytes + header_text(result.file_).size();
  const JsonCursor root(header, file);
  for (const auto& [name, value] : root.as_object().members()) {
    if (name == detail::kMetadataName) {
      result.metadata_ = read_metadata(root.at(name));
    } else {
      result.entries_.push_back(read_entry(name, root.at(name)));
    }
  }
  std::stable_sort(result.entries_.begin(), result.entries_.end(),
                   [](const auto& a, const auto& b) {
                     return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
                   });
  require_exact_cover(result.entries_, result.size_bytes() - result.data_begin_, file);
  for (std::size_t i = 0; i < result.entries_.size(); ++i) {
    result.by_name_.emplace(result.entries_[i].name, i);
  }
  return result;
}

const TensorEntry* SafetensorsFile::find(const std::string& name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &entries_[found->second];
}

std::span<const std::byte> SafetensorsFile::bytes_of(const TensorEntry& entry) const {
  return file_.bytes().subspan(data_begin_ + entry.begin, entry.end - entry.begin);
}

void SafetensorsFile::forget(const TensorEntry& entry) const {
  file_.forget(bytes_of(entry));
}

bool SafetensorsFile::is_aligned(const TensorEntry& entry) const {
  if (entry.begin == entry.end) return true;
  const auto address = reinterpret_cast<std::uintptr_t>(bytes_of(entry).data());
  return address % std::max<std::size_t>(4, c10::elementSize(entry.dtype)) == 0;
}

at::Tensor SafetensorsFile::tensor(const TensorEntry& entry) const {
  if (entry.begin == entry.end) return at::empty(entry.shape, entry.dtype);
  const auto bytes = bytes_of(entry);
  if (entry.dtype == c10::ScalarType::Bool) require_bools(bytes, entry.name, path().string());
  const auto address = reinterpret_cast<std::uintptr_t>(bytes.data());
  if (address % c10::elementSize(entry.dtype) != 0) {
    at::Tensor copy = at::empty(entry.shape, entry.dtype);
    std::memcpy(copy.mutable_data_ptr(), bytes.data(), bytes.size());
    return copy;
  }
  auto* data = const_cast<std::byte*>(bytes.data());  // at::Tensor has no read-only storage
  return at::from_blob(
      data, entry.shape, [owner = file_.owner()](void*) mutable { owner.reset(); },
      at::TensorOptions(entry.dtype));
}

}  // namespace distill::io

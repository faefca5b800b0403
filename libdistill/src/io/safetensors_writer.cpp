#include <array>
#include <bit>
#include <optional>
#include <set>

#include <distill/core/checked.h>
#include <distill/core/error.h>
#include <distill/core/json_writer.h>
#include <distill/core/strings.h>
#include <distill/io/safetensors.h>

#include "io/safetensors_format.h"

namespace distill::io {

namespace fs = std::filesystem;

namespace {

using core::printable;
using Metadata = std::map<std::string, std::string>;

TensorSpec spec_of(const std::string& name, const at::Tensor& tensor) {
  return {name, tensor.scalar_type(), tensor.sizes().vec()};
}

/// Nothing when it does not fit 64 bits.
std::optional<std::uint64_t> checked_bytes(const TensorSpec& spec) {
  const auto numel = core::checked_product(spec.shape);
  return numel ? core::checked_mul(*numel, c10::elementSize(spec.dtype)) : std::nullopt;
}

std::uint64_t bytes_of(const at::Tensor& tensor) {
  return static_cast<std::uint64_t>(tensor.numel()) * tensor.element_size();
}

void require_names(const std::vector<TensorSpec>& specs, const Metadata& metadata,
                   const std::string& file) {
  std::set<std::string_view> names;
  for (const auto& spec : specs) {
    const std::string where = core::concat(file, ": tensor `", printable(spec.name), "` ");
    if (spec.name == detail::kMetadataName)
      fail<InputError>(where, "has the name reserved for metadata");
    if (!core::is_utf8(spec.name)) fail<InputError>(where, "must have a name in UTF-8");
    if (!names.insert(spec.name).second) fail<InputError>(where, "is given twice");
    if (!detail::safetensors_dtype_name(spec.dtype)) {
      fail<UnsupportedError>(where, "has dtype ", c10::toString(spec.dtype),
                             ", which the format has no name for");
    }
    if (!checked_bytes(spec)) fail<InputError>(where, "is too large");
  }
  for (const auto& [name, value] : metadata) {
    if (!core::is_utf8(name) || !core::is_utf8(value)) {
      fail<InputError>(file, ": metadata `", printable(name), "` must be UTF-8");
    }
  }
}

/// What will stand in the header. Throws for a tensor that cannot be written.
std::vector<TensorSpec> specs_of(const std::vector<NamedTensor>& tensors, const Metadata& metadata,
                                 const std::string& file) {
  std::vector<TensorSpec> specs;
  for (const auto& [name, tensor] : tensors) {
    const std::string where = core::concat(file, ": tensor `", printable(name), "` ");
    if (!tensor.defined()) fail<InputError>(where, "is undefined");
    if (tensor.layout() != c10::kStrided || tensor.is_meta()) {
      fail<UnsupportedError>(where, "is not a dense tensor with data; make it one first");
    }
    specs.push_back(spec_of(name, tensor));
  }
  require_names(specs, metadata, file);
  return specs;
}

/// The header with its length before it, padded so that the tensors begin at a multiple of 8.
std::string header_bytes(const std::vector<TensorSpec>& specs, const Metadata& metadata,
                         const std::string& file) {
  core::JsonWriter json;
  json.begin_object();
  if (!metadata.empty()) {
    json.key(detail::kMetadataName).begin_object();
    for (const auto& [name, value] : metadata) json.member(name, value);
    json.end_object();
  }
  std::uint64_t offset = 0;
  for (const auto& spec : specs) {
    json.key(spec.name).begin_object();
    json.member("dtype", *detail::safetensors_dtype_name(spec.dtype));
    json.key("shape").begin_array();
    for (const std::int64_t size : spec.shape) json.value(size);
    json.end_array();
    json.key("data_offsets").begin_array().value(offset);
    offset += *checked_bytes(spec);
    json.value(offset).end_array().end_object();
  }
  json.end_object();
  std::string text = json.text();
  text.append((8 - text.size() % 8) % 8, ' ');
  if (text.size() > detail::kMaxHeaderBytes) {
    fail<InputError>(file, ": a header of ", text.size(), " bytes, expected at most ",
                     detail::kMaxHeaderBytes, "; write fewer tensors to one file");
  }
  const auto length =
      std::bit_cast<std::array<char, detail::kLengthBytes>>(std::uint64_t{text.size()});
  return std::string(length.data(), length.size()) + text;
}

void write_tensor(core::AtomicFile& file, const at::Tensor& tensor) {
  if (tensor.numel() == 0) return;
  const at::Tensor dense = tensor.detach().resolve_neg().cpu().contiguous();
  file.write(std::span(static_cast<const std::byte*>(dense.const_data_ptr()), bytes_of(dense)));
}

/// Consecutive runs of tensors, each at most `max_shard_bytes` unless one tensor alone is larger.
std::vector<std::vector<NamedTensor>> split(const std::vector<NamedTensor>& tensors,
                                            std::uint64_t max_shard_bytes) {
  std::vector<std::vector<NamedTensor>> shards(1);
  std::uint64_t used = 0;
  for (const NamedTensor& tensor : tensors) {
    const std::uint64_t bytes = bytes_of(tensor.second);
    if (!shards.back().empty() && (bytes > max_shard_bytes || used > max_shard_bytes - bytes)) {
      shards.emplace_back();
      used = 0;
    }
    shards.back().push_back(tensor);
    used += bytes;
  }
  return shards;
}

std::string five_digits(std::size_t number) {
  const std::string digits = std::to_string(number);
  return std::string(digits.size() < 5 ? 5 - digits.size() : 0, '0') + digits;
}

bool is_all_digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

/// `STEM-00001-of-00002.safetensors`, whatever the numbers.
bool is_shard_name(std::string_view name, const std::string& stem) {
  constexpr std::string_view kSuffix = ".safetensors";
  if (!name.starts_with(stem + "-") || !name.ends_with(kSuffix)) return false;
  name.remove_prefix(stem.size() + 1);
  name.remove_suffix(kSuffix.size());
  const std::size_t middle = name.find("-of-");
  return middle != std::string_view::npos && is_all_digits(name.substr(0, middle)) &&
         is_all_digits(name.substr(middle + 4));
}

/// What an earlier save under the same stem left, which a reader might take for this one's.
void remove_stale(const fs::path& folder, const std::string& stem,
                  const std::set<std::string>& written) {
  std::error_code code;
  std::vector<fs::path> stale;
  for (fs::directory_iterator item(folder, code), end; !code && item != end; item.increment(code)) {
    const std::string name = item->path().filename().string();
    const bool ours = name == stem + ".safetensors" || name == stem + ".safetensors.index.json" ||
                      is_shard_name(name, stem);
    if (ours && !written.contains(name)) stale.push_back(item->path());
  }
  for (const fs::path& path : stale) {
    if (!code) fs::remove(path, code);
  }
  if (code) fail<IoError>(folder.string(), ": could not remove older shards: ", code.message());
}

void write_index(const fs::path& path, const std::map<std::string, std::string>& weight_map,
                 std::uint64_t total_bytes) {
  core::JsonWriter json(2);
  json.begin_object();
  json.key("metadata").begin_object().member("total_size", total_bytes).end_object();
  json.key("weight_map").begin_object();
  for (const auto& [tensor, shard] : weight_map) json.member(tensor, shard);
  json.end_object().end_object();
  core::write_file_atomically(path, json.text() + "\n");
}

}  // namespace

void write_safetensors(const fs::path& path, const std::vector<NamedTensor>& tensors,
                       const Metadata& metadata) {
  const auto specs = specs_of(tensors, metadata, path.string());
  core::AtomicFile file(path);
  file.write(header_bytes(specs, metadata, path.string()));
  for (const auto& [name, tensor] : tensors) write_tensor(file, tensor);
  file.commit();
}

void write_safetensors(const fs::path& path, const std::vector<TensorSpec>& specs,
                       const Metadata& metadata,
                       const std::function<at::Tensor(std::size_t)>& make) {
  require_names(specs, metadata, path.string());
  core::AtomicFile file(path);
  file.write(header_bytes(specs, metadata, path.string()));
  for (std::size_t i = 0; i < specs.size(); ++i) {
    const at::Tensor tensor = make(i);
    if (tensor.sizes() != c10::IntArrayRef(specs[i].shape) ||
        tensor.scalar_type() != specs[i].dtype) {
      fail<InputError>(path.string(), ": tensor `", printable(specs[i].name),
                       "` is not of the shape and dtype that were announced");
    }
    write_tensor(file, tensor);
  }
  file.commit();
}

void write_safetensors_outline(const fs::path& path, const std::vector<TensorSpec>& specs,
                               const Metadata& metadata) {
  require_names(specs, metadata, path.string());
  const std::string header = header_bytes(specs, metadata, path.string());
  std::optional<std::uint64_t> size = header.size();
  for (const auto& spec : specs)
    size = size ? core::checked_add(*size, *checked_bytes(spec)) : size;
  if (!size) fail<InputError>(path.string(), ": its tensors are too large");
  core::write_file_atomically(path, header);
  std::error_code error;
  fs::resize_file(path, *size, error);
  if (error)
    fail<IoError>(path.string(), ": could not make it ", *size, " bytes long: ", error.message());
}

void write_safetensors_folder(const fs::path& folder, const std::vector<NamedTensor>& tensors,
                              const Metadata& metadata, std::uint64_t max_shard_bytes,
                              const std::string& stem) {
  if (max_shard_bytes == 0) fail<InputError>(folder.string(), ": max_shard_bytes must be positive");
  specs_of(tensors, metadata, folder.string());  // refuses before anything is written
  const auto shards = split(tensors, max_shard_bytes);
  std::set<std::string> written;
  if (shards.size() == 1) {
    written.insert(stem + ".safetensors");
    write_safetensors(folder / *written.begin(), tensors, metadata);
    remove_stale(folder, stem, written);
    return;
  }
  std::map<std::string, std::string> weight_map;
  std::uint64_t total_bytes = 0;
  for (std::size_t i = 0; i < shards.size(); ++i) {
    const std::string name = core::concat(stem, "-", five_digits(i + 1), "-of-",
                                          five_digits(shards.size()), ".safetensors");
    write_safetensors(folder / name, shards[i], metadata);
    written.insert(name);
    for (const auto& [tensor, value] : shards[i]) {
      weight_map.emplace(tensor, name);
      total_bytes += bytes_of(value);
    }
  }
  const std::string index = stem + ".safetensors.index.json";
  write_index(folder / index, weight_map, total_bytes);
  written.insert(index);
  remove_stale(folder, stem, written);
}

}  // namespace distill::io

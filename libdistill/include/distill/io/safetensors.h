#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

#include <distill/core/files.h>

namespace distill::io {

/// What the header says about one tensor. Checked: the bytes lie inside the file and match the
/// shape.
struct TensorEntry {
  std::string name;
  c10::ScalarType dtype;
  std::vector<std::int64_t> shape;
  std::uint64_t begin = 0;  ///< byte offsets into the data part of the file
  std::uint64_t end = 0;
};

/// One safetensors file, mapped. The format page is docs/formats/safetensors.md. Strict: the header
/// is at most 100 MB, names are unique, the tensors cover the data exactly with no hole or overlap.
/// Nothing is allocated on the file's word.
class SafetensorsFile {
 public:
  /// Throws InputError when missing, FormatError naming file and byte when malformed.
  static SafetensorsFile open(const std::filesystem::path& path);

  const std::vector<TensorEntry>& entries() const { return entries_; }  ///< in order of their bytes
  const TensorEntry* find(const std::string& name) const;
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const std::filesystem::path& path() const { return file_.path(); }
  std::uint64_t size_bytes() const { return file_.bytes().size(); }

  /// A tensor that aliases the mapped file (no copy) and keeps it alive. Read-only: writing to it
  /// crashes; clone first. When the bytes are not aligned for the dtype it is a copy.
  at::Tensor tensor(const TensorEntry& entry) const;
  /// True when `tensor` aliases the file at an address that vectors of 4 bytes can be read from.
  bool is_aligned(const TensorEntry& entry) const;
  /// The tensor's pages may leave memory until it is read again.
  void forget(const TensorEntry& entry) const;

 private:
  std::span<const std::byte> bytes_of(const TensorEntry& entry) const;

  core::MappedFile file_;
  std::uint64_t data_begin_ = 0;
  std::vector<TensorEntry> entries_;
  std::map<std::string, std::size_t> by_name_;
  std::map<std::string, std::string> metadata_;
};

/// The tensors of a model folder: `model.safetensors`, or the shards that
/// `model.safetensors.index.json` names. Shard names must be plain file names in the folder.
class SafetensorsFolder {
 public:
  /// `stem` is `model` for models, `adapter_model` for adapters.
  static SafetensorsFolder open(const std::filesystem::path& folder,
                                const std::string& stem = "model");

  struct Location {
    const SafetensorsFile* file;
    const TensorEntry* entry;
  };
  /// Every tensor by name.
  const std::map<std::string, Location>& tensors() const { return tensors_; }
  const std::vector<std::shared_ptr<SafetensorsFile>>& files() const { return files_; }
  std::uint64_t size_bytes() const;

 private:
  std::vector<std::shared_ptr<SafetensorsFile>> files_;
  std::map<std::string, Location> tensors_;
};

using NamedTensor = std::pair<std::string, at::Tensor>;

/// Writes one file, atomically and fsynced; tensors are written in the given order, streamed, in
/// row-major order whatever their strides. `metadata` commonly holds {"format", "pt"}.
/// Throws IoError when the disk is full (nothing is left behind), UnsupportedError for a dtype the
/// format has no name for.
void write_safetensors(const std::filesystem::path& path, const std::vector<NamedTensor>& tensors,
                       const std::map<std::string, std::string>& metadata);

/// The header of a tensor that is made later.
struct TensorSpec {
  std::string name;
  c10::ScalarType dtype;
  std::vector<std::int64_t> shape;
};

/// The same for tensors that need not be in memory together: `make(i)` gives the one of `specs[i]`
/// and is called in order, when it is written. Throws InputError when one has another shape or
/// dtype than was said.
void write_safetensors(const std::filesystem::path& path, const std::vector<TensorSpec>& specs,
                       const std::map<std::string, std::string>& metadata,
                       const std::function<at::Tensor(std::size_t)>& make);

/// The same without values: the data are a hole in the file, zeros that take no room on the disk.
/// For what is not there yet and must be planned with.
void write_safetensors_outline(const std::filesystem::path& path,
                               const std::vector<TensorSpec>& specs,
                               const std::map<std::string, std::string>& metadata);

/// `model.safetensors`, or `model-00001-of-0000N.safetensors` with an index when the tensors exceed
/// `max_shard_bytes`.
void write_safetensors_folder(const std::filesystem::path& folder,
                              const std::vector<NamedTensor>& tensors,
                              const std::map<std::string, std::string>& metadata,
                              std::uint64_t max_shard_bytes, const std::string& stem = "model");

}  // namespace distill::io

#include <distill/models/save.h>

#include <array>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <unistd.h>

#include <ATen/core/Tensor.h>

#include <distill/core/error.h>
#include <distill/core/files.h>
#include <distill/core/paths.h>
#include <distill/core/strings.h>
#include <distill/io/json_value.h>
#include <distill/io/safetensors.h>

#include "models/saved_config.h"

namespace distill::models {

namespace fs = std::filesystem;

namespace {

/// Everything beside config and weights that loaders of the ecosystem look for.
constexpr std::array<std::string_view, 9> kCompanions = {
    "tokenizer.json",    "tokenizer_config.json",  "special_tokens_map.json",
    "added_tokens.json", "generation_config.json", "vocab.json",
    "merges.txt",        "tokenizer.model",        "chat_template.jinja"};

/// A folder under a temporary name beside its last one; removed unless it was published.
class PendingFolder {
 public:
  explicit PendingFolder(const fs::path& target) : target_(target) {
    fs::path name = target.filename();
    name += core::concat(".tmp-", ::getpid());
    path_ = target.parent_path() / name;
    std::error_code error;
    fs::remove_all(path_, error);
    if (!fs::create_directory(path_, error)) {
      fail<IoError>(path_.string(), ": could not create the folder: ", error.message());
    }
  }
  ~PendingFolder() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  PendingFolder(const PendingFolder&) = delete;
  PendingFolder& operator=(const PendingFolder&) = delete;

  const fs::path& path() const { return path_; }
  void publish() {
    core::sync_folder(path_);
    core::rename_durably(path_, target_);
    path_.clear();
  }

 private:
  fs::path target_;
  fs::path path_;
};

void copy_companions(const fs::path& from, const fs::path& to) {
  for (const std::string_view name : kCompanions) {
    if (!core::path_exists(from / name)) continue;
    core::AtomicFile copy(to / name);
    copy.write(core::MappedFile::open(from / name).bytes());
    copy.commit();
  }
}

std::vector<io::NamedTensor> weights_of(const CausalLm& model, c10::ScalarType dtype) {
  std::vector<io::NamedTensor> tensors;
  for (const NamedParameter& parameter : model.parameters()) {
    tensors.emplace_back(parameter.name, parameter.tensor.detach().to(dtype));
  }
  for (const NamedParameter& buffer : model.buffers()) {
    tensors.emplace_back(buffer.name, buffer.tensor.detach());
  }
  return tensors;
}

}  // namespace

void save_causal_lm(const CausalLm& model, const fs::path& folder, const SaveOptions& options) {
  const fs::path target = folder.has_filename() ? folder : folder.parent_path();
  if (fs::exists(fs::symlink_status(target))) {
    fail<InputError>(target.string(), ": exists already; choose another folder or remove it");
  }
  const auto dtype = options.dtype.value_or(model.parameters().front().tensor.scalar_type());
  const std::string config = saved_config(options.base_folder / "config.json", model, dtype);
  PendingFolder pending(target);
  core::write_file_atomically(pending.path() / "config.json", config);
  copy_companions(options.base_folder, pending.path());
  io::write_safetensors_folder(pending.path(), weights_of(model, dtype), {{"format", "pt"}},
                               options.max_shard_bytes);
  pending.publish();
}

}  // namespace distill::models

#include <algorithm>

#include <distill/core/error.h>
#include <distill/core/paths.h>
#include <distill/core/strings.h>
#include <distill/io/json_value.h>
#include <distill/io/safetensors.h>

namespace distill::io {

namespace fs = std::filesystem;

namespace {

using core::printable;

/// Names from the index are opened, so they must not lead out of the folder. Links are followed:
/// download caches consist of links.
void require_plain_name(const std::string& name, const JsonCursor& where) {
  constexpr std::size_t kLongestName = 255;
  const bool plain = !name.empty() && name.size() <= kLongestName && name != "." && name != ".." &&
                     name.find_first_of(std::string_view("/\\\0", 3)) == std::string::npos &&
                     core::without_controls(name) == name;
  if (!plain) {
    where.fail("names the shard `" + printable(name) +
               "`, expected the plain name of a file in the same folder");
  }
}

/// `a`, `b`, `c` and 7 more.
std::string first_names(const std::vector<std::string>& names) {
  constexpr std::size_t kShown = 3;
  std::vector<std::string> shown;
  for (const auto& name : names) {
    if (shown.size() == kShown) break;
    shown.push_back("`" + printable(name, 30) + "`");
  }
  std::string text = core::join(shown);
  if (names.size() > kShown) text += core::concat(" and ", names.size() - kShown, " more");
  return text;
}

[[noreturn]] void fail_not_found(const fs::path& folder, const std::string& stem) {
  std::error_code ignored;
  if (!fs::is_directory(folder, ignored)) fail<InputError>(folder.string(), ": no such folder");
  const std::string wanted =
      core::concat("`", stem, ".safetensors` or `", stem, ".safetensors.index.json`");
  for (const char* pickle :
       {"pytorch_model.bin", "pytorch_model.bin.index.json", "adapter_model.bin"}) {
    if (fs::exists(folder / pickle, ignored)) {
      fail<UnsupportedError>(folder.string(), ": holds `", pickle,
                             "`, a pickle, which is not read; expected ", wanted,
                             "; save the model as safetensors first");
    }
  }
  fail<InputError>(folder.string(), ": holds neither ",
                   core::concat("`", stem, ".safetensors` nor `"), stem,
                   ".safetensors.index.json`");
}

using WeightMap = std::map<std::string, std::string>;

/// Tensor name to shard name.
WeightMap read_index(const fs::path& path) {
  JsonLimits limits;
  limits.max_bytes = 100'000'000;
  limits.max_depth = 8;
  limits.max_values = 2'000'000;
  const JsonValue json = read_json_file(path, limits);
  const JsonCursor weight_map = JsonCursor(json, path.string()).at("weight_map");
  WeightMap result;
  for (const auto& [tensor, value] : weight_map.as_object().members()) {
    const JsonCursor shard = weight_map.at(tensor);
    require_plain_name(shard.as_string(), shard);
    result.emplace(tensor, shard.as_string());
  }
  if (result.empty()) weight_map.fail("is empty, expected at least one tensor");
  return result;
}

/// The index and its shards must agree exactly; everything that does not is told in one line.
void require_agreement(const fs::path& index, const WeightMap& weight_map,
                       const std::map<std::string, std::shared_ptr<SafetensorsFile>>& shards) {
  std::vector<std::string> missing;
  for (const auto& [tensor, shard] : weight_map) {
    if (shards.at(shard)->find(tensor) == nullptr) missing.push_back(tensor);
  }
  std::vector<std::string> surplus;
  for (const auto& [shard, file] : shards) {
    for (const TensorEntry& entry : file->entries()) {
      const auto listed = weight_map.find(entry.name);
      if (listed == weight_map.end() || listed->second != shard) surplus.push_back(entry.name);
    }
  }
  std::vector<std::string> problems;
  if (!missing.empty()) {
    problems.push_back(core::concat("tensors not in the shard it names: ", first_names(missing)));
  }
  if (!surplus.empty()) {
    problems.push_back(
        core::concat("tensors in the shards that it does not place there: ", first_names(surplus)));
  }
  if (!problems.empty()) fail<FormatError>(index.string(), ": ", core::join(problems, "; "));
}

}  // namespace

SafetensorsFolder SafetensorsFolder::open(const fs::path& folder, const std::string& stem) {
  SafetensorsFolder result;
  const fs::path single = folder / (stem + ".safetensors");
  const fs::path index = folder / (stem + ".safetensors.index.json");
  std::error_code ignored;
  if (fs::exists(single, ignored)) {
    result.files_.push_back(std::make_shared<SafetensorsFile>(SafetensorsFile::open(single)));
  } else if (fs::exists(index, ignored)) {
    const WeightMap weight_map = read_index(index);
    std::map<std::string, std::shared_ptr<SafetensorsFile>> shards;
    for (const auto& [tensor, shard] : weight_map) {
      auto& file = shards[shard];
      if (!file) file = std::make_shared<SafetensorsFile>(SafetensorsFile::open(folder / shard));
    }
    require_agreement(index, weight_map, shards);
    for (const auto& [name, file] : shards) result.files_.push_back(file);
  } else {
    fail_not_found(folder, stem);
  }
  for (const auto& file : result.files_) {
    for (const TensorEntry& entry : file->entries()) {
      result.tensors_.emplace(entry.name, Location{file.get(), &entry});
    }
  }
  return result;
}

std::uint64_t SafetensorsFolder::size_bytes() const {
  std::uint64_t total = 0;
  for (const auto& file : files_) total += file->size_bytes();
  return total;
}

}  // namespace distill::io

#include <distill/models/stop_ids.h>

#include <algorithm>
#include <utility>

#include <distill/core/error.h>
#include <distill/core/paths.h>
#include <distill/io/json_value.h>

namespace distill::models {

namespace {

constexpr const char* kKey = "eos_token_id";

class StopIds {
 public:
  explicit StopIds(std::int64_t vocab_size) : vocab_size_(vocab_size) {}

  void add(const io::JsonCursor& value) {
    if (!value.value().is_array()) return add_one(value);
    for (std::size_t i = 0; i < value.size(); ++i) add_one(value.at(i));
  }

  bool empty() const { return ids_.empty(); }
  std::vector<std::int64_t> take() { return std::move(ids_); }

 private:
  void add_one(const io::JsonCursor& value) {
    if (!value.value().is_integer()) {
      value.fail(core::concat("must be an id or a list of ids, it is ", value.value().kind_name()));
    }
    const std::int64_t id = value.as_int();
    if (id < 0 || id >= vocab_size_) {
      value.fail(core::concat(
          "is ", id, ", which is outside the model's vocabulary, expected 0 to ", vocab_size_ - 1));
    }
    if (std::find(ids_.begin(), ids_.end(), id) == ids_.end()) ids_.push_back(id);
  }

  std::int64_t vocab_size_;
  std::vector<std::int64_t> ids_;
};

}  // namespace

std::vector<std::int64_t> read_stop_ids(const std::filesystem::path& folder,
                                        std::int64_t vocab_size) {
  StopIds ids(vocab_size);
  const auto generation_path = folder / "generation_config.json";
  if (core::path_exists(generation_path)) {
    const io::JsonValue json = io::read_json_file(generation_path);
    const io::JsonCursor generation(json, generation_path.string());
    if (generation.has(kKey)) ids.add(generation.at(kKey));
  }
  const auto config_path = folder / "config.json";
  const io::JsonValue json = io::read_json_file(config_path);
  const io::JsonCursor config(json, config_path.string());
  if (config.has(kKey) && (ids.empty() || config.at(kKey).value().is_array())) {
    ids.add(config.at(kKey));
  }
  return ids.take();
}

}  // namespace distill::models

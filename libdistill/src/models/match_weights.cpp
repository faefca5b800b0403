#include "models/match_weights.h"

#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>

#include <ATen/ops/equal.h>

#include <distill/core/error.h>
#include <distill/core/strings.h>

namespace distill::models {

namespace {

using Location = io::SafetensorsFolder::Location;

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::vector<std::string> sizes;
  for (const std::int64_t size : shape) sizes.push_back(std::to_string(size));
  return "[" + core::join(sizes) + "]";
}

/// `3 tensors missing (a, b, ...)`.
std::string group(const std::vector<std::string>& items, const char* what) {
  constexpr std::size_t kShown = 2;
  std::string text =
      core::concat(items.size(), items.size() == 1 ? " tensor " : " tensors ", what, " (");
  for (std::size_t i = 0; i < items.size() && i < kShown; ++i) {
    text += (i > 0 ? ", " : "") + items[i];
  }
  return text + (items.size() > kShown ? ", ...)" : ")");
}

constexpr std::string_view kScaleSuffix = "_scale_inv";

bool is_fp8(const Location& source) {
  return source.entry->dtype == c10::ScalarType::Float8_e4m3fn;
}

/// The names that a folder may hold.
class KnownNames {
 public:
  KnownNames(const EmptyModel& model, const io::SafetensorsFolder& weights)
      : model_(model), weights_(weights) {
    for (const ParameterSlot& slot : model.slots) names_.insert(source_name(model, slot));
    names_.insert(model.names_left_out.begin(), model.names_left_out.end());
  }

  bool contains(const std::string& name) const {
    return names_.contains(name) || is_harmless(name) || is_scale(name) ||
           skipped_by(model_, name) != nullptr;
  }

  static std::string source_name(const EmptyModel& model, const ParameterSlot& slot) {
    if (slot.layer < 0) return slot.name();
    return slot.name_in_layer(model.source_layers[static_cast<std::size_t>(slot.layer)]);
  }

 private:
  bool is_harmless(const std::string& name) const {
    return name.ends_with("rotary_emb.inv_freq") || name == model_.tied_head;
  }
  /// The scales of a matrix that is known and stored in 8 bits.
  bool is_scale(const std::string& name) const {
    if (!model_.fp8_block || !name.ends_with(kScaleSuffix)) return false;
    const std::string base = name.substr(0, name.size() - kScaleSuffix.size());
    const auto found = weights_.tensors().find(base);
    return names_.contains(base) && found != weights_.tensors().end() && is_fp8(found->second);
  }

  const EmptyModel& model_;
  const io::SafetensorsFolder& weights_;
  std::unordered_set<std::string> names_;
};

void require_floating(const Location& source) {
  switch (source.entry->dtype) {
    case c10::ScalarType::Float:
    case c10::ScalarType::BFloat16:
    case c10::ScalarType::Half:
    case c10::ScalarType::Double:
      return;
    default:
      fail<UnsupportedError>(source.file->path().string(), ": `",
                             core::printable(source.entry->name), "` has dtype ",
                             c10::toString(source.entry->dtype),
                             ", supported are float32, bfloat16, float16 and float64, and "
                             "float8_e4m3fn with scales that config.json describes");
  }
}

void require_dtypes(const MatchedWeight& match) {
  if (!match.scale) return require_floating(match.source);
  require_floating(*match.scale);
}

std::int64_t blocks(std::int64_t size, std::int64_t block) {
  return size / block + (size % block != 0 ? 1 : 0);
}

/// What does not fit, by kind.
struct Mismatch {
  std::vector<std::string> missing;
  std::vector<std::string> misshaped;
  std::vector<std::string> surplus;

  void report(const std::filesystem::path& folder) const {
    std::vector<std::string> parts;
    if (!missing.empty()) parts.push_back(group(missing, "missing"));
    if (!misshaped.empty()) parts.push_back(group(misshaped, "of another shape"));
    if (!surplus.empty()) parts.push_back(group(surplus, "too many"));
    if (parts.empty()) return;
    fail<FormatError>(folder.string(),
                      ": weights do not fit config.json: ", core::join(parts, "; "));
  }
};

}  // namespace

std::vector<MatchedWeight> match_weights(const EmptyModel& model,
                                         const io::SafetensorsFolder& weights,
                                         const std::filesystem::path& folder) {
  std::vector<MatchedWeight> matches;
  Mismatch mismatch;
  /// The tensor of that name and shape; nothing when something does not fit.
  const auto find = [&](const std::string& name,
                        const std::vector<std::int64_t>& shape) -> std::optional<Location> {
    const auto found = weights.tensors().find(name);
    if (found == weights.tensors().end()) {
      mismatch.missing.push_back(name);
    } else if (found->second.entry->shape != shape) {
      mismatch.misshaped.push_back(core::concat(
          name, " is ", shape_text(found->second.entry->shape), ", expected ", shape_text(shape)));
    } else {
      return found->second;
    }
    return std::nullopt;
  };
  for (const ParameterSlot& slot : model.slots) {
    const std::string name = KnownNames::source_name(model, slot);
    const auto source = find(name, slot.shape);
    if (!source) continue;
    matches.push_back({&slot, *source, {}});
    if (!model.fp8_block || !is_fp8(*source) || slot.shape.size() != 2) continue;
    matches.back().scale =
        find(name + std::string(kScaleSuffix), {blocks(slot.shape[0], model.fp8_block->rows),
                                                blocks(slot.shape[1], model.fp8_block->columns)});
  }
  const KnownNames known(model, weights);
  for (const auto& [name, location] : weights.tensors()) {
    if (!known.contains(name)) mismatch.surplus.push_back(core::printable(name));
  }
  mismatch.report(folder);
  for (const MatchedWeight& match : matches) require_dtypes(match);
  return matches;
}

const SkippedWeights* skipped_by(const EmptyModel& model, const std::string& name) {
  for (const SkippedWeights& skipped : model.skipped) {
    if (name.starts_with(skipped.prefix)) return &skipped;
  }
  return nullptr;
}

void check_tied_head(const EmptyModel& model, const io::SafetensorsFolder& weights) {
  const auto head = weights.tensors().find(model.tied_head);
  const auto embedding = weights.tensors().find(model.tied_to);
  if (head == weights.tensors().end() || embedding == weights.tensors().end()) return;
  const auto& [file, entry] = head->second;
  if (!at::equal(file->tensor(*entry), embedding->second.file->tensor(*embedding->second.entry))) {
    fail<FormatError>(file->path().string(), ": `", model.tied_head, "` differs from `",
                      model.tied_to, "`, but config.json says `tie_word_embeddings`: true");
  }
}

}  // namespace distill::models

#include "models/match_weights.h"

#include <set>
#include <string>

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

/// Names that files may hold although no slot wants them.
bool is_harmless(const std::string& name, const EmptyModel& model) {
  return name.ends_with("rotary_emb.inv_freq") || name == model.tied_head;
}

/// Every name the whole folder may hold, dropped layers included.
std::set<std::string> known_names(const EmptyModel& model) {
  std::set<std::string> names;
  for (const ParameterSlot& slot : model.slots) {
    if (slot.layer < 0) names.insert(slot.name());
    if (slot.layer != 0) continue;
    for (std::int64_t i = 0; i < model.num_source_layers; ++i) names.insert(slot.name_in_layer(i));
  }
  return names;
}

std::string source_name(const EmptyModel& model, const ParameterSlot& slot) {
  if (slot.layer < 0) return slot.name();
  return slot.name_in_layer(model.source_layers[static_cast<std::size_t>(slot.layer)]);
}

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
                             ", supported are float32, bfloat16, float16 and float64");
  }
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
  for (const ParameterSlot& slot : model.slots) {
    const std::string name = source_name(model, slot);
    const auto found = weights.tensors().find(name);
    if (found == weights.tensors().end()) {
      mismatch.missing.push_back(name);
    } else if (found->second.entry->shape != slot.shape) {
      mismatch.misshaped.push_back(core::concat(name, " is ",
                                                shape_text(found->second.entry->shape),
                                                ", expected ", shape_text(slot.shape)));
    } else {
      matches.push_back({&slot, found->second});
    }
  }
  const std::set<std::string> known = known_names(model);
  for (const auto& [name, location] : weights.tensors()) {
    if (!known.contains(name) && !is_harmless(name, model)) {
      mismatch.surplus.push_back(core::printable(name));
    }
  }
  mismatch.report(folder);
  for (const MatchedWeight& match : matches) require_floating(match.source);
  return matches;
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

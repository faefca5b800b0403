#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include <distill/core/text_pattern.h>
#include <distill/io/json_value.h>

namespace distill::lora {

/// Which modules adapter_config.json says have an adapter, as PEFT understands `target_modules`,
/// `exclude_modules` and `layers_to_transform`.
class TargetModules {
 public:
  /// Throws InputError for members of another type and for what is no regular expression.
  explicit TargetModules(const io::JsonCursor& json);

  /// False too where the file leaves it to the tensors: no `target_modules`, `all-linear`, or
  /// layers that are told by a pattern of their own.
  bool mean(const std::string& module) const;

 private:
  /// A regular expression for whole names, or names and their ends after a dot.
  struct Names {
    std::optional<core::TextPattern> pattern;
    std::vector<std::string> ends;

    bool mean(const std::string& module) const;
  };
  static Names names_at(const io::JsonCursor& json, std::string_view key);

  Names targets_, excluded_;
  std::optional<std::set<std::int64_t>> layers_;  ///< nothing: all
};

}  // namespace distill::lora

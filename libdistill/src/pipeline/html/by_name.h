#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace distill::pipeline::html {

/// Values over time (Curve, Samples) by name, in the order in which the names came; at most kMost
/// of them.
template <class Kept>
class ByName {
 public:
  static constexpr std::size_t kMost = 48;

  struct Named {
    std::string name;
    Kept values;
  };

  /// That of `name`, which begins when it is new; null when there are too many.
  Kept* of(const std::string& name) {
    const auto found = std::ranges::find(all_, name, &Named::name);
    if (found != all_.end()) return &found->values;
    if (all_.size() == kMost) return nullptr;
    all_.push_back({name, {}});
    return &all_.back().values;
  }
  /// Null where there is none, or it is empty.
  const Kept* find(std::string_view name) const {
    const auto found = std::ranges::find(all_, name, &Named::name);
    return found != all_.end() && !found->values.empty() ? &found->values : nullptr;
  }
  const std::vector<Named>& all() const { return all_; }

 private:
  std::vector<Named> all_;
};

}  // namespace distill::pipeline::html

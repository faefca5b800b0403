#include <bit>
#include <functional>
#include <limits>

#include <distill/io/json_value.h>

namespace distill::io {

namespace {

/// Objects up to this size are searched member by member.
constexpr std::size_t kLinearSearch = 8;
constexpr std::uint32_t kFree = std::numeric_limits<std::uint32_t>::max();

}  // namespace

/// Open addressing: each slot holds the position of a member, or kFree.
struct JsonObject::Index {
  std::vector<std::uint32_t> slots;

  using Members = std::vector<std::pair<std::string, JsonValue>>;

  /// The slot that holds `name`, or the free one where it belongs.
  std::size_t slot_of(std::string_view name, const Members& members) const {
    const std::size_t mask = slots.size() - 1;
    std::size_t slot = std::hash<std::string_view>{}(name)&mask;
    while (slots[slot] != kFree && members[slots[slot]].first != name) slot = (slot + 1) & mask;
    return slot;
  }

  static std::shared_ptr<Index> build(const Members& members) {
    auto index = std::make_shared<Index>();
    index->slots.assign(std::bit_ceil(members.size() * 4), kFree);
    for (std::size_t i = 0; i < members.size(); ++i) {
      index->slots[index->slot_of(members[i].first, members)] = static_cast<std::uint32_t>(i);
    }
    return index;
  }
};

std::size_t JsonObject::size() const {
  return members_.size();
}

const JsonValue* JsonObject::find(std::string_view name) const {
  if (index_) {
    const std::uint32_t position = index_->slots[index_->slot_of(name, members_)];
    return position == kFree ? nullptr : &members_[position].second;
  }
  for (const auto& [member, value] : members_) {
    if (member == name) return &value;
  }
  return nullptr;
}

bool JsonObject::insert(std::string name, JsonValue value) {
  if (find(name) != nullptr) return false;
  members_.emplace_back(std::move(name), std::move(value));
  if (members_.size() <= kLinearSearch) return true;
  // A copy of this object may share the index: it must not see the new member.
  const bool rebuild =
      !index_ || index_.use_count() > 1 || members_.size() * 2 > index_->slots.size();
  if (rebuild) {
    index_ = Index::build(members_);
  } else {
    const std::size_t slot = index_->slot_of(members_.back().first, members_);
    index_->slots[slot] = static_cast<std::uint32_t>(members_.size() - 1);
  }
  return true;
}

}  // namespace distill::io

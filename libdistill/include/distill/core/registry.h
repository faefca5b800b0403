#pragma once

#include <any>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <distill/core/describe.h>
#include <distill/core/error.h>

namespace distill::core {

/// Kinds of one component by name: each has a described options struct and a factory. A plain
/// value: it is filled by explicit `add_builtin_*` lists (and by users), then passed around.
///
///     Registry<Loss> losses;
///     losses.add<ForwardKlOptions>("forward_kl", [](const ForwardKlOptions& o) { return ...; });
template <class Base, class... Args>
class Registry {
 public:
  /// Throws ConfigError when the name is taken.
  template <class Options, class Factory>
  void add(const std::string& name, Factory factory) {
    Entry entry;
    entry.make_options = [] { return std::any(std::make_shared<Options>()); };
    entry.describe = [](const std::any& options) {
      return struct_ref(*std::any_cast<const std::shared_ptr<Options>&>(options));
    };
    entry.copy = [](const std::any& options) {
      return std::any(
          std::make_shared<Options>(*std::any_cast<const std::shared_ptr<Options>&>(options)));
    };
    entry.build = [factory = std::move(factory)](const std::any& options, Args... args) {
      return std::unique_ptr<Base>(factory(*std::any_cast<const std::shared_ptr<Options>&>(options),
                                           std::forward<Args>(args)...));
    };
    if (!entries_.emplace(name, std::move(entry)).second) {
      fail<ConfigError>("component `", name, "` is registered twice; choose another name");
    }
  }

  std::vector<std::string> kinds() const {
    std::vector<std::string> names;
    for (const auto& [name, entry] : entries_) names.push_back(name);
    return names;
  }
  bool contains(const std::string& name) const { return entries_.contains(name); }

 private:
  template <class, class...>
  friend class Component;

  struct Entry {
    std::function<std::any()> make_options;
    std::function<StructRef(const std::any&)> describe;
    std::function<std::any(const std::any&)> copy;
    std::function<std::unique_ptr<Base>(const std::any&, Args...)> build;
  };

  const Entry& entry(const std::string& name) const {
    const auto found = entries_.find(name);
    if (found == entries_.end()) {
      fail<ConfigError>("`", name, "` is not a known kind", did_you_mean(name, kinds()),
                        "; known: ", join(kinds()));
    }
    return found->second;
  }

  std::map<std::string, Entry> entries_;
};

/// A component as a recipe holds it: a kind chosen from a registry, and that kind's options.
/// Copies are independent. The registry must outlive it.
template <class Base, class... Args>
class Component {
 public:
  explicit Component(const Registry<Base, Args...>& registry) : registry_(&registry) {}
  Component(const Registry<Base, Args...>& registry, const std::string& kind)
      : Component(registry) {
    select(kind);
  }
  Component(const Component& other) : registry_(other.registry_), kind_(other.kind_) {
    if (!kind_.empty()) options_ = registry_->entry(kind_).copy(other.options_);
  }
  Component& operator=(const Component& other) {
    if (this != &other) {
      Component copy(other);
      std::swap(registry_, copy.registry_);
      std::swap(kind_, copy.kind_);
      std::swap(options_, copy.options_);
    }
    return *this;
  }

  const std::string& kind() const { return kind_; }
  bool chosen() const { return !kind_.empty(); }

  /// Switches to `kind` with its default options; keeps the options when it is chosen already.
  /// Throws ConfigError for an unknown kind.
  void select(const std::string& kind) {
    const auto& entry = registry_->entry(kind);
    if (kind == kind_) return;
    options_ = entry.make_options();
    kind_ = kind;
  }

  /// The options as `Options`, or null when another kind is chosen.
  template <class Options>
  Options* options() {
    const auto* held = std::any_cast<std::shared_ptr<Options>>(&options_);
    return held ? held->get() : nullptr;
  }
  template <class Options>
  const Options* options() const {
    const auto* held = std::any_cast<std::shared_ptr<Options>>(&options_);
    return held ? held->get() : nullptr;
  }

  /// Throws ConfigError when no kind is chosen, and whatever the factory throws.
  std::unique_ptr<Base> build(Args... args) const {
    if (kind_.empty()) fail<ConfigError>("no kind chosen; known: ", join(registry_->kinds()));
    return registry_->entry(kind_).build(options_, std::forward<Args>(args)...);
  }

  ValueRef make_value_ref() {
    ComponentRef ref;
    ref.kind = [this] { return kind_; };
    ref.kinds = [this] { return registry_->kinds(); };
    ref.select = [this](const std::string& kind) {
      select(kind);
      return registry_->entry(kind_).describe(options_);
    };
    ref.options = [this] { return registry_->entry(kind_).describe(options_); };
    return ref;
  }

 private:
  const Registry<Base, Args...>* registry_;
  std::string kind_;
  std::any options_;
};

/// A list of components of one registry.
template <class Base, class... Args>
class ComponentList {
 public:
  explicit ComponentList(const Registry<Base, Args...>& registry) : registry_(&registry) {}

  Component<Base, Args...>& append() { return items_.emplace_back(*registry_); }
  const std::vector<Component<Base, Args...>>& items() const { return items_; }
  std::vector<Component<Base, Args...>>& items() { return items_; }

  ValueRef make_value_ref() {
    return ListRef{[this] { return items_.size(); },
                   [this](std::size_t i) { return items_.at(i).make_value_ref(); },
                   [this] { return append().make_value_ref(); }, [this] { items_.clear(); }};
  }

 private:
  const Registry<Base, Args...>* registry_;
  std::vector<Component<Base, Args...>> items_;
};

}  // namespace distill::core

#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

/// Described structs: one free function `describe` per options struct lists its fields; readers
/// (YAML), writers (the resolved recipe) and the reference page walk that list.
///
///     struct ScheduleOptions {
///       ScheduleKind kind = ScheduleKind::kCosine;
///       std::int64_t warmup_steps = 0;
///     };
///     void describe(core::FieldVisitor& visit, ScheduleOptions& options) {
///       visit("kind", options.kind, "shape of the decay");
///       visit("warmup_steps", options.warmup_steps, "steps from 0 to the peak rate");
///     }
///     void validate(const ScheduleOptions& options, core::Problems& problems) {   // optional
///       if (options.warmup_steps < 0) problems.add("warmup_steps", "must not be negative");
///     }
///
/// An enum takes part through `constexpr std::array<std::string_view, N> choice_names(Enum)` in its
/// own namespace; its values must be 0 .. N-1 in that order.
namespace distill::core {

class FieldVisitor;
struct StructRef;
struct ChoiceRef;
struct OptionalRef;
struct ListRef;
struct OneOfRef;
struct ComponentRef;

/// A reference to one value inside a config: the closed set of kinds a reader must know.
using ValueRef = std::variant<bool*, std::int64_t*, double*, std::string*, ChoiceRef, StructRef,
                              OptionalRef, ListRef, OneOfRef, ComponentRef>;

/// Collects what is wrong with a struct's values, each under the name of a field.
class Problems {
 public:
  struct Problem {
    std::string field;    ///< empty: the struct as a whole
    std::string message;  ///< what must hold and what was seen
  };
  void add(std::string field, std::string message) {
    items_.push_back({std::move(field), std::move(message)});
  }
  const std::vector<Problem>& items() const { return items_; }

 private:
  std::vector<Problem> items_;
};

/// One of a fixed list of names.
struct ChoiceRef {
  std::vector<std::string> names;
  std::function<std::size_t()> get;
  std::function<void(std::size_t)> set;
};

/// A nested struct with a description of its own.
struct StructRef {
  std::function<void(FieldVisitor&)> describe;
  std::function<void(Problems&)> validate;
};

/// std::optional: absent unless given.
struct OptionalRef {
  std::function<bool()> has_value;
  std::function<ValueRef()> value;  ///< makes a default one first when there is none
  std::function<void()> reset;
};

/// std::vector of values, or a list of components.
struct ListRef {
  std::function<std::size_t()> size;
  std::function<ValueRef(std::size_t)> at;
  std::function<ValueRef()> append;
  std::function<void()> clear;
};

/// std::variant of two forms: a scalar, or a list / struct.
struct OneOfRef {
  std::function<std::size_t()> active;  ///< 0: the scalar form
  std::function<ValueRef(std::size_t)>
      select;  ///< switches to that form, keeps its value if active
};

/// A component picked by its `kind:` from a registry, with that kind's own options beside it.
struct ComponentRef {
  std::function<std::string()> kind;  ///< empty: none chosen yet
  std::function<std::vector<std::string>()> kinds;
  std::function<StructRef(const std::string&)> select;  ///< must be one of kinds()
  std::function<StructRef()> options;                   ///< of the chosen kind
};

struct Field {
  std::string name;
  std::string doc;
  bool required = false;
};

template <class T>
ValueRef value_ref(T& value);

/// Receives every field of a described struct in order.
class FieldVisitor {
 public:
  virtual ~FieldVisitor() = default;
  virtual void field(const Field& field, const ValueRef& value) = 0;

  template <class T>
  void operator()(std::string name, T& value, std::string doc) {
    field({std::move(name), std::move(doc), false}, value_ref(value));
  }
  /// A field that must be given: it has no default.
  template <class T>
  void required(std::string name, T& value, std::string doc) {
    field({std::move(name), std::move(doc), true}, value_ref(value));
  }
};

/// True for types that make their own ValueRef (`ValueRef make_value_ref()`): components.
template <class T>
concept SelfReferring = requires(T& value) {
  { value.make_value_ref() } -> std::same_as<ValueRef>;
};

template <class T>
concept Described = requires(FieldVisitor& visitor, T& value) { describe(visitor, value); };

template <class T>
concept Validated = requires(const T& value, Problems& problems) { validate(value, problems); };

template <Described T>
StructRef struct_ref(T& value) {
  StructRef ref;
  ref.describe = [&value](FieldVisitor& visitor) { describe(visitor, value); };
  ref.validate = [&value](Problems& problems) {
    if constexpr (Validated<T>) validate(std::as_const(value), problems);
  };
  return ref;
}

namespace detail {

template <class T>
struct is_optional : std::false_type {};
template <class T>
struct is_optional<std::optional<T>> : std::true_type {};
template <class T>
struct is_vector : std::false_type {};
template <class T>
struct is_vector<std::vector<T>> : std::true_type {};
template <class T>
struct is_variant : std::false_type {};
template <class A, class B>
struct is_variant<std::variant<A, B>> : std::true_type {};

template <class E>
ChoiceRef choice_ref(E& value) {
  ChoiceRef ref;
  for (const auto name : choice_names(E{})) ref.names.emplace_back(name);
  ref.get = [&value] { return static_cast<std::size_t>(value); };
  ref.set = [&value](std::size_t index) { value = static_cast<E>(index); };
  return ref;
}

template <class T>
OptionalRef optional_ref(std::optional<T>& value) {
  return {[&value] { return value.has_value(); },
          [&value] {
            if (!value) value.emplace();
            return value_ref(*value);
          },
          [&value] { value.reset(); }};
}

template <class T>
ListRef list_ref(std::vector<T>& value) {
  return {[&value] { return value.size(); },
          [&value](std::size_t i) { return value_ref(value.at(i)); },
          [&value] { return value_ref(value.emplace_back()); }, [&value] { value.clear(); }};
}

template <class A, class B>
OneOfRef one_of_ref(std::variant<A, B>& value) {
  return {[&value] { return value.index(); },
          [&value](std::size_t form) {
            if (form == 0) {
              if (value.index() != 0) value.template emplace<0>();
              return value_ref(std::get<0>(value));
            }
            if (value.index() != 1) value.template emplace<1>();
            return value_ref(std::get<1>(value));
          }};
}

}  // namespace detail

template <class T>
ValueRef value_ref(T& value) {
  if constexpr (std::is_same_v<T, bool> || std::is_same_v<T, std::int64_t> ||
                std::is_same_v<T, double> || std::is_same_v<T, std::string>) {
    return &value;
  } else if constexpr (std::is_enum_v<T>) {
    return detail::choice_ref(value);
  } else if constexpr (SelfReferring<T>) {
    return value.make_value_ref();
  } else if constexpr (detail::is_optional<T>::value) {
    return detail::optional_ref(value);
  } else if constexpr (detail::is_vector<T>::value) {
    return detail::list_ref(value);
  } else if constexpr (detail::is_variant<T>::value) {
    return detail::one_of_ref(value);
  } else {
    static_assert(Described<T>, "a field's type needs describe(FieldVisitor&, T&)");
    return struct_ref(value);
  }
}

}  // namespace distill::core

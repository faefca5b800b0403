#include <distill/recipe/walk_texts.h>

#include <variant>

#include "recipe/node.h"

namespace distill::recipe {

namespace {

using Take = std::function<void(const std::string&, std::string&)>;

class Walker : public core::FieldVisitor {
 public:
  Walker(const Take& take, std::string path) : take_(take), path_(std::move(path)) {}

  void field(const core::Field& field, const core::ValueRef& value) override {
    visit(value, detail::join_path(path_, field.name));
  }

 private:
  void visit(const core::ValueRef& value, const std::string& path) {
    if (const auto* text = std::get_if<std::string*>(&value)) {
      take_(path, **text);
    } else if (const auto* fields = std::get_if<core::StructRef>(&value)) {
      inside(*fields, path);
    } else if (const auto* optional = std::get_if<core::OptionalRef>(&value)) {
      if (optional->has_value()) visit(optional->value(), path);
    } else if (const auto* list = std::get_if<core::ListRef>(&value)) {
      for (std::size_t i = 0; i < list->size(); ++i) {
        visit(list->at(i), detail::join_path(path, std::to_string(i)));
      }
    } else if (const auto* either = std::get_if<core::OneOfRef>(&value)) {
      visit(either->select(either->active()), path);
    } else if (const auto* component = std::get_if<core::ComponentRef>(&value)) {
      if (!component->kind().empty()) inside(component->options(), path);
    }
  }
  void inside(const core::StructRef& fields, const std::string& path) {
    Walker walker(take_, path);
    fields.describe(walker);
  }

  const Take& take_;
  std::string path_;
};

}  // namespace

void for_each_text(const core::StructRef& fields, const Take& take) {
  Walker walker(take, "");
  fields.describe(walker);
}

}  // namespace distill::recipe

#include "text/json_members.h"

#include <algorithm>

#include <distill/core/error.h>
#include <distill/core/strings.h>

namespace distill::text::detail {

void refuse(const io::JsonCursor& at, const std::string& what) {
  fail<UnsupportedError>(at.where(), " ", what);
}

void refuse_unknown_members(const io::JsonCursor& object,
                            std::initializer_list<std::string_view> known) {
  for (const auto& [name, value] : object.as_object().members()) {
    if (value.is_null() || std::ranges::find(known, name) != known.end()) continue;
    refuse(object, core::concat("has a setting `", core::printable(name),
                                "`, which is not supported by this version"));
  }
}

const std::string& type_of(const io::JsonCursor& step) {
  return step.at("type").as_string();
}

void refuse_type(const io::JsonCursor& step, std::string_view part, std::string_view supported) {
  fail<UnsupportedError>(step.source(), ": ", part, " type `", core::printable(type_of(step)),
                         "` is not supported; supported: ", supported);
}

}  // namespace distill::text::detail

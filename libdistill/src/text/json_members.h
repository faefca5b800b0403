#pragma once

#include <initializer_list>
#include <string_view>

#include <distill/io/json_value.h>

namespace distill::text::detail {

/// Throws UnsupportedError when `object` has a member that is not listed and not null: an unknown
/// setting may change the ids.
void refuse_unknown_members(const io::JsonCursor& object,
                            std::initializer_list<std::string_view> known);

/// `FILE: `path` ...what` as an UnsupportedError.
[[noreturn]] void refuse(const io::JsonCursor& at, const std::string& what);

/// The member `type` of a step of the pipeline.
const std::string& type_of(const io::JsonCursor& step);

/// Throws UnsupportedError `FILE: PART type `X` is not supported; supported: ...`.
[[noreturn]] void refuse_type(const io::JsonCursor& step, std::string_view part,
                              std::string_view supported);

}  // namespace distill::text::detail

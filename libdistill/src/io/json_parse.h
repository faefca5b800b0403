#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <distill/io/json_value.h>

namespace distill::io::detail {

/// parse_json for text that begins at `first_line` of its file.
JsonValue parse_json_from_line(std::string_view text, const std::string& source,
                               std::int64_t first_line, const JsonLimits& limits);

}  // namespace distill::io::detail

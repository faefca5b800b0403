#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace distill::pipeline::html {

/// Foreign text for HTML, SVG and attributes in double quotes: `<`, `>`, `&` and quotes are
/// escaped, control characters and what is not UTF-8 become U+FFFD (line breaks and tabs stay),
/// and what is longer than `most_bytes` is cut.
std::string escaped(std::string_view text, std::size_t most_bytes = 300);

/// A path as a relative link: everything but plain characters of names percent-encoded.
std::string link(std::string_view path);

/// `<NAME ATTRIBUTES>INSIDE</NAME>`; `inside` is markup.
std::string element(std::string_view name, std::string_view attributes, std::string_view inside);

}  // namespace distill::pipeline::html

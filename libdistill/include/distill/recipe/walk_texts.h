#pragma once

#include <functional>
#include <string>

#include <distill/core/describe.h>

namespace distill::recipe {

/// Calls `take` with every text of a described struct, and its dotted path. It may change them.
void for_each_text(const core::StructRef& fields,
                   const std::function<void(const std::string& path, std::string& text)>& take);

}  // namespace distill::recipe

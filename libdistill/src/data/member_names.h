#pragma once

#include <string>

#include <distill/io/json_value.h>

namespace distill::data {

/// The members of a row for a message: names only, a few of them, null ones marked.
std::string member_names(const io::JsonObject& object);

}  // namespace distill::data

#pragma once

#include <string>
#include <vector>

#include "recipe/overrides.h"
#include "recipe/struct_reader.h"
#include "recipe/yaml_parse.h"
#include "unit/recipe/sample.h"

namespace distill::recipe::sample {

/// Reads `text` as the file `r.yaml`. Throws ConfigError with everything that is wrong.
inline Sample read_sample(const Engines& engines, const std::string& text,
                          const std::vector<std::string>& overrides = {}) {
  detail::ProblemList problems("r.yaml", overrides);
  Sample sample(engines);
  if (auto root = detail::parse_yaml(text, 0, problems)) {
    detail::apply_overrides(*root, overrides, problems);
    detail::read_struct(*root, core::struct_ref(sample), problems);
  }
  problems.throw_if_any();
  return sample;
}

}  // namespace distill::recipe::sample

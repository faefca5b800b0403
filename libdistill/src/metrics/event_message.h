#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace distill::metrics::detail {

/// One number under a name.
struct Scalar {
  std::string tag;  ///< UTF-8
  double value = 0;
};

/// TensorFlow's `Event` as protocol buffers have it. `wall_time`: seconds since 1970.
/// The first event of every file: it names the format.
std::string version_event(double wall_time);

/// A process begins: TensorBoard forgets what earlier files say of `step` and later ones.
std::string start_event(double wall_time, std::int64_t step);

/// All numbers of a step, each a `simple_value`: float32, beyond whose range they are infinite.
std::string scalars_event(double wall_time, std::int64_t step, std::span<const Scalar> scalars);

}  // namespace distill::metrics::detail

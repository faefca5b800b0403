#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

namespace distill::bench {

/// `[--rows N] [--rounds N] [IN OUT ...]`: what benchmarks of linear layers are told.
struct LayerArguments {
  std::int64_t rows = 2048;
  int rounds = 15;
  std::vector<std::pair<std::int64_t, std::int64_t>> shapes;  ///< in, out
};

/// `shapes` when none is given.
inline LayerArguments layer_arguments(int argc, char** argv,
                                      std::vector<std::pair<std::int64_t, std::int64_t>> shapes) {
  LayerArguments arguments;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::strcmp(argv[i], "--rows") == 0) {
      arguments.rows = std::atoll(argv[i + 1]);
    } else if (std::strcmp(argv[i], "--rounds") == 0) {
      arguments.rounds = std::atoi(argv[i + 1]);
    } else {
      arguments.shapes.emplace_back(std::atoll(argv[i]), std::atoll(argv[i + 1]));
    }
  }
  if (arguments.shapes.empty()) arguments.shapes = std::move(shapes);
  return arguments;
}

}  // namespace distill::bench

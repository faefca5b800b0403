#include <distill/commands/cache.h>

#include <ostream>

#include <distill/core/json_writer.h>
#include <distill/core/paths.h>
#include <distill/core/strings.h>
#include <distill/core/table.h>
#include <distill/recipe/read.h>

namespace distill::commands {

namespace {

double bytes_a_position(const io::LogitCacheInfo& info) {
  return info.positions == 0
             ? 0
             : static_cast<double>(info.bytes) / static_cast<double>(info.positions);
}

void print(const io::LogitCacheInfo& info, bool json, std::ostream& out) {
  if (json) {
    core::JsonWriter writer;
    writer.begin_object()
        .member("path", info.folder.string())
        .member("form", io::name_of(info.spec.form))
        .member("size", info.spec.size)
        .member("segments", info.segments)
        .member("positions", info.positions)
        .member("bytes", info.bytes)
        .member("bytes_a_position", bytes_a_position(info))
        .member("hash", info.hash);
    out << writer.end_object().text() << '\n';
    return;
  }
  out << core::shown(info.folder) << ": " << core::with_thousands(info.segments) << " segments, "
      << core::with_thousands(info.positions) << " positions, " << core::human_bytes(info.bytes)
      << ", " << core::fixed(bytes_a_position(info), 1) << " bytes a position\n";
}

}  // namespace

void run_cache_command(const CacheCommandOptions& options, std::ostream& out, core::Logger& log) {
  const recipe::Registries registries = recipe::builtin_registries();
  const recipe::Recipe recipe =
      recipe::read_recipe_file(options.recipe, options.overrides, registries);
  print(pipeline::capture_recipe(recipe, options.capture, log), options.json, out);
}

}  // namespace distill::commands

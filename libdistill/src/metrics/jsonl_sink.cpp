#include <charconv>
#include <limits>
#include <optional>

#include <distill/core/files.h>
#include <distill/core/json_writer.h>
#include <distill/core/paths.h>
#include <distill/metrics/sink.h>

namespace distill::metrics {

namespace fs = std::filesystem;

namespace {

void write_values(core::JsonWriter& json, const Values& values) {
  for (const auto& [name, value] : values) {
    json.key(name);
    std::visit([&json](const auto& held) { json.value(held); }, value);
  }
}

class JsonlSink final : public Sink {
 public:
  explicit JsonlSink(const fs::path& path) : file_(path) {}

  void step(const Values& values) override { append(nullptr, values); }
  void event(const std::string& event, const Values& values) override { append(&event, values); }

 private:
  void append(const std::string* event, const Values& values) {
    core::JsonWriter json;
    json.begin_object();
    if (event != nullptr) json.member("event", *event);
    write_values(json, values);
    json.end_object();
    file_.append(json.text() + "\n");
  }

  core::AppendFile file_;
};

/// The `step` of a line this sink wrote. Objects are flat and quotes inside strings are escaped,
/// so the quoted name after `{` or `,` can only be the member itself.
std::optional<std::int64_t> step_of(std::string_view line) {
  constexpr std::string_view kName = "\"step\":";
  for (std::size_t at = line.find(kName); at != std::string_view::npos;
       at = line.find(kName, at + 1)) {
    if (at == 0 || (line[at - 1] != '{' && line[at - 1] != ',')) continue;
    const char* begin = line.data() + at + kName.size();
    std::int64_t step = 0;
    const auto result = std::from_chars(begin, line.data() + line.size(), step);
    if (result.ec == std::errc() && result.ptr != begin) return step;
  }
  return std::nullopt;
}

/// The length of the part to keep: whole lines before the first one of a later step. Lines are in
/// the order of their steps, so an event without a step belongs to what stands before it.
std::size_t kept_length(std::string_view text, std::int64_t last_step) {
  std::size_t begin = 0;
  while (begin < text.size()) {
    const std::size_t end = text.find('\n', begin);
    if (end == std::string_view::npos) break;  // torn: the process ended while writing
    const std::string_view line = text.substr(begin, end - begin);
    if (line.size() < 2 || line.front() != '{' || line.back() != '}') break;
    if (const auto step = step_of(line); step && *step > last_step) break;
    begin = end + 1;
  }
  return begin;
}

void truncate_after(const fs::path& path, std::int64_t last_step) {
  if (!core::path_exists(path)) return;
  const core::MappedFile file = core::MappedFile::open(path);
  const std::size_t kept = kept_length(file.text(), last_step);
  if (kept == file.text().size()) return;
  core::write_file_atomically(path, file.text().substr(0, kept));
}

}  // namespace

std::unique_ptr<Sink> make_jsonl_sink(const fs::path& path, std::int64_t truncate_after_step) {
  truncate_after(path, truncate_after_step);
  return std::make_unique<JsonlSink>(path);
}

}  // namespace distill::metrics

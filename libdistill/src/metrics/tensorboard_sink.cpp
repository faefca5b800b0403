#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <limits>
#include <system_error>

#include <distill/core/error.h>
#include <distill/core/files.h>
#include <distill/core/paths.h>
#include <distill/metrics/tensorboard.h>

#include "metrics/event_message.h"
#include "metrics/event_record.h"

namespace distill::metrics {

namespace fs = std::filesystem;

namespace {

/// TensorBoard takes files with `tfevents` in their names and reads them in the order of these.
constexpr std::string_view kNameBegin = "events.out.tfevents.";
constexpr std::size_t kDigits = 10;

double now() {
  const auto since = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration<double>(since).count();
}

/// The second in the name of an event file; 0 for another file.
std::int64_t second_of(const fs::path& path) {
  const std::string name = path.filename().string();
  if (!name.starts_with(kNameBegin) || name.size() < kNameBegin.size() + kDigits) return 0;
  const char* begin = name.data() + kNameBegin.size();
  std::int64_t second = 0;
  const auto result = std::from_chars(begin, begin + kDigits, second);
  return result.ec == std::errc() && result.ptr == begin + kDigits
             ? std::max(second, std::int64_t{0})
             : 0;
}

/// Behind all that are there, also where two processes begin in one second or a clock is set back.
fs::path next_file(const fs::path& folder) {
  auto second = static_cast<std::int64_t>(now());
  for (const auto& path : core::list_folder(folder)) second = std::max(second, second_of(path) + 1);
  const std::string digits = std::to_string(second);
  const std::string zeros(kDigits - std::min(kDigits, digits.size()), '0');
  return folder / core::concat(kNameBegin, zeros, digits, ".distill");
}

std::string text_of(const Values& values, std::string_view name) {
  for (const auto& [key, value] : values) {
    if (key != name) continue;
    if (const auto* text = std::get_if<std::string>(&value)) return *text;
  }
  return "";
}

/// Names of sets come from recipes; a tag that is not UTF-8 would spoil the record.
std::string tag_of(const std::string& prefix, const std::string& name) {
  std::string tag = prefix + "/" + name;
  return core::is_utf8(tag) ? tag : core::printable(tag, 200);
}

class TensorboardSink final : public Sink {
 public:
  TensorboardSink(const fs::path& path, std::int64_t last_step) : file_(path), step_(last_step) {
    const std::int64_t next =
        last_step < std::numeric_limits<std::int64_t>::max() ? last_step + 1 : last_step;
    const double time = now();
    file_.append(detail::event_record(detail::version_event(time)) +
                 detail::event_record(detail::start_event(time, next)));
  }

  void step(const Values& values) override { write("train", values); }
  void event(const std::string& event, const Values& values) override {
    const std::string set = text_of(values, "set");
    // What a skipped step came to belongs into the curves of the others.
    if (event == "skipped_step") {
      write("train", values);
    } else if (event == "evaluation") {
      write("eval", values);
    } else if (event == "evaluation_set") {
      write("eval/" + set, values);
    } else if (event == "teacher_set") {
      write("teacher/" + set, values);
    } else {
      write(event, values);
    }
  }

 private:
  void write(const std::string& prefix, const Values& values) {
    std::vector<detail::Scalar> scalars;
    for (const auto& [name, value] : values) {
      if (const auto* real = std::get_if<double>(&value)) {
        scalars.push_back({tag_of(prefix, name), *real});
      } else if (const auto* whole = std::get_if<std::int64_t>(&value)) {
        if (name == "step") {
          step_ = *whole;
        } else {
          scalars.push_back({tag_of(prefix, name), static_cast<double>(*whole)});
        }
      }
    }
    if (scalars.empty()) return;
    file_.append(detail::event_record(detail::scalars_event(now(), step_, scalars)));
  }

  core::AppendFile file_;
  std::int64_t step_;  ///< the last that was named, for events that name none
};

}  // namespace

std::unique_ptr<Sink> make_tensorboard_sink(const fs::path& folder, std::int64_t last_step) {
  std::error_code error;
  fs::create_directory(folder, error);
  if (error) fail<IoError>(core::shown(folder), ": could not make it: ", error.message());
  return std::make_unique<TensorboardSink>(next_file(folder), last_step);
}

}  // namespace distill::metrics

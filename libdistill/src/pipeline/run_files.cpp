#include "pipeline/run_files.h"

#include <array>
#include <ctime>
#include <system_error>

#include <distill/core/error.h>
#include <distill/core/files.h>
#include <distill/core/paths.h>
#include <distill/io/json_value.h>
#include <distill/metrics/tensorboard.h>
#include <distill/pipeline/report_html.h>

namespace distill::pipeline {

namespace fs = std::filesystem;

namespace {

constexpr const char* kEnergy = "energy_joules";

/// Where earlier parts of the run were not measured, the sum would be too small: there is none.
class RunFiles final : public metrics::Sink {
 public:
  RunFiles(const RunFolder& folder, std::int64_t restored, const core::EnergyMeterOptions& energy)
      : lines_(metrics::make_jsonl_sink(folder.metrics(), restored)),
        events_(metrics::make_tensorboard_sink(folder.tensorboard(), restored)),
        energy_before_(measured_energy(folder.metrics())),
        meter_(energy) {
    if (restored == 0 && !energy_before_) energy_before_ = 0.0;
  }

  void step(const metrics::Values& values) override {
    lines_->step(with_energy(values));
    events_->step(values);
  }
  void event(const std::string& event, const metrics::Values& values) override {
    lines_->event(event, event == "evaluation" ? with_energy(values) : values);
    events_->event(event, values);
  }

 private:
  metrics::Values with_energy(metrics::Values values) {
    if (meter_.readable() && energy_before_) {
      values.emplace_back(kEnergy, *energy_before_ + meter_.joules());
    }
    return values;
  }

  std::unique_ptr<metrics::Sink> lines_;
  std::unique_ptr<metrics::Sink> events_;
  std::optional<double> energy_before_;
  core::EnergyMeter meter_;
};

std::string now_in_utc() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text.data();
}

/// With what is known at its end.
std::string finished_report(Report& report, const RunFolder& folder) {
  report.energy_joules = measured_energy(folder.metrics());
  report.finished = now_in_utc();
  return to_json(report);
}

/// The member of a line that the run wrote; nothing for another line.
std::optional<double> energy_of(std::string_view line) {
  if (line.find(kEnergy) == std::string_view::npos) return std::nullopt;
  try {
    const io::JsonValue value = io::parse_json(line, "metrics.jsonl");
    const io::JsonCursor row(value, "metrics.jsonl");
    if (row.has(kEnergy)) return row.at(kEnergy).as_double();
  } catch (const FormatError&) {
    // Not a line of ours.
  }
  return std::nullopt;
}

bool is_step_or_evaluation(std::string_view line) {
  return line.starts_with("{\"step\"") || line.starts_with("{\"event\":\"evaluation\"");
}

}  // namespace

std::unique_ptr<metrics::Sink> open_run_files(const RunFolder& folder, std::int64_t restored,
                                              const core::EnergyMeterOptions& energy) {
  return std::make_unique<RunFiles>(folder, restored, energy);
}

std::optional<double> measured_energy(const fs::path& metrics) {
  if (!core::path_exists(metrics)) return std::nullopt;
  const core::MappedFile file = core::MappedFile::open(metrics);
  std::string_view text = file.text();
  while (!text.empty()) {
    if (text.back() == '\n') text.remove_suffix(1);
    const std::size_t before = text.rfind('\n');
    const std::string_view line = before == std::string_view::npos ? text : text.substr(before + 1);
    if (is_step_or_evaluation(line)) return energy_of(line);
    text = before == std::string_view::npos ? std::string_view() : text.substr(0, before + 1);
  }
  return std::nullopt;
}

void write_reports(Report& report, const RunFolder& folder, core::Logger& log) {
  const std::string json = finished_report(report, folder);
  try {
    write_report_html({.run = folder.path(), .report_json = json});
  } catch (const std::exception& error) {
    log.warning("the run is done, but its page could not be made: ", error.what(),
                "; try `distill report ", folder.path().string(), "`");
  }
  core::write_file_atomically(folder.report(), json);
}

Report write_stopped_reports(Report report, const std::string& why, const RunFolder& folder,
                             core::Logger& log) {
  report.stopped = why;
  try {
    const std::string json = finished_report(report, folder);
    core::write_file_atomically(folder.stopped_report(), json);
    const auto page = write_report_html({.run = folder.path(), .report_json = json});
    log.info("what was measured: ", page.string());
  } catch (const std::exception& error) {
    log.warning("what was measured could not be written: ", error.what());
  }
  return report;
}

void remove_stopped_report(const RunFolder& folder) {
  std::error_code error;
  fs::remove(folder.stopped_report(), error);
  if (error) {
    fail<IoError>(folder.stopped_report().string(), ": could not remove it: ", error.message());
  }
}

}  // namespace distill::pipeline

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <distill/core/energy.h>
#include <distill/core/log.h>
#include <distill/metrics/sink.h>
#include <distill/pipeline/report.h>
#include <distill/pipeline/run_folder.h>

namespace distill::pipeline {

/// metrics.jsonl and tensorboard/ of a run that goes on after step `restored`, as one sink. Steps
/// and evaluations have `energy_joules` in metrics.jsonl where it can be measured: what the machine
/// has used since the run began, all its parts together.
std::unique_ptr<metrics::Sink> open_run_files(const RunFolder& folder, std::int64_t restored,
                                              const core::EnergyMeterOptions& energy = {});

/// `energy_joules` of the last step or evaluation in metrics.jsonl; nothing where it has none.
std::optional<double> measured_energy(const std::filesystem::path& metrics);

/// The end of a run: adds energy and date to the report, writes report.html, then report.json. That
/// report.html could not be made is a warning.
void write_reports(Report& report, const RunFolder& folder, core::Logger& log);

/// The end of a run that leaves no final/: stopped.json, in the form of report.json with `stopped`,
/// and report.html. That they could not be made is a warning: there is worse to be told. Returns
/// what it wrote.
Report write_stopped_reports(Report report, const std::string& why, const RunFolder& folder,
                             core::Logger& log);
/// Of a run that goes on. Throws IoError.
void remove_stopped_report(const RunFolder& folder);

}  // namespace distill::pipeline

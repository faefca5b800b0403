#pragma once

#include <chrono>
#include <filesystem>
#include <memory>

namespace distill::core {

struct EnergyMeterOptions {
  /// Where Linux shows the counters of RAPL: a folder `intel-rapl:N` for each, AMD's too.
  std::filesystem::path root = "/sys/class/powercap";
  /// How often a thread looks at them. They begin again at 0 after 65 kJ or more, which takes a
  /// package of 500 W two minutes.
  std::chrono::milliseconds sample_every = std::chrono::seconds(20);
};

/// Energy that the processor packages of this machine use, of all processes together, by the
/// counters of RAPL. Memory is counted where the processor counts it with the package; a GPU is
/// not. A counter that goes down has begun again behind its range only if that takes no more than
/// 1 kW; else it was set back, by a driver or a machine that slept, and what was used between the
/// last look and then is not counted.
class EnergyMeter {
 public:
  explicit EnergyMeter(const EnergyMeterOptions& options = {});
  ~EnergyMeter();
  EnergyMeter(const EnergyMeter&) = delete;
  EnergyMeter& operator=(const EnergyMeter&) = delete;

  /// False where the machine shows no counter, or none that this user may read (Linux shows them
  /// to root alone).
  bool readable() const;
  /// Joules since the meter was made. 0 when nothing is readable. A counter that can no longer be
  /// read stays where it was.
  double joules();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace distill::core

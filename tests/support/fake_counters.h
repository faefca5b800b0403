#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

#include <distill/core/energy.h>

#include "support/temp_folder.h"

namespace distill::testing {

/// A folder that looks like /sys/class/powercap.
class FakeCounters {
 public:
  void add(const std::string& zone, const std::string& name, std::uint64_t microjoules,
           std::uint64_t range) {
    std::filesystem::create_directories(folder_ / zone);
    std::ofstream(folder_ / zone / "name") << name << '\n';
    std::ofstream(folder_ / zone / "max_energy_range_uj") << range << '\n';
    set(zone, microjoules);
  }
  void set(const std::string& zone, std::uint64_t microjoules) {
    // Renamed into place: the meter's thread must not see half a number.
    std::ofstream(folder_ / zone / "new") << microjoules << '\n';
    std::filesystem::rename(folder_ / zone / "new", folder_ / zone / "energy_uj");
  }
  core::EnergyMeterOptions options(std::chrono::milliseconds every = std::chrono::hours(1)) const {
    return {folder_.path(), every};
  }
  std::filesystem::path operator/(const std::string& name) const { return folder_ / name; }

 private:
  TempFolder folder_;
};

}  // namespace distill::testing

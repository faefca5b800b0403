#include <distill/core/energy.h>

#include <array>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <distill/core/error.h>
#include <distill/core/files.h>

namespace distill::core {

namespace fs = std::filesystem;

namespace {

/// A file of sysfs cannot be mapped, and has no size.
std::string short_text(const fs::path& path) {
  std::array<char, 64> text{};
  InputFile file(path);
  const std::size_t size = file.read(std::as_writable_bytes(std::span(text)));
  return std::string(text.data(), size);
}

/// Nothing where it is missing, may not be read, or is no number.
std::optional<std::uint64_t> number_in(const fs::path& path) {
  try {
    const std::string text = short_text(path);
    std::uint64_t value = 0;
    const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
    if (result.ec != std::errc()) return std::nullopt;
    return value;
  } catch (const Error&) {
    return std::nullopt;
  }
}

using Clock = std::chrono::steady_clock;

/// The most microjoules that one package can have used in that time: no package takes 1 kW for
/// long, and the clock may be read a moment after the counter.
double most_microjoules(Clock::duration time) {
  constexpr double kMicrowatts = 1e9;
  constexpr double kMoment = 1;  // seconds
  return kMicrowatts * (std::chrono::duration<double>(time).count() + kMoment);
}

/// One counter, in microjoules, that begins again at 0 behind `range`.
struct Counter {
  fs::path file;
  std::uint64_t range = 0;
  std::uint64_t last = 0;
  std::uint64_t total = 0;
  Clock::time_point seen = Clock::now();

  void sample() {
    const auto value = number_in(file);
    if (!value) return;
    const auto now = Clock::now();
    total += *value >= last ? *value - last : used_since(*value, most_microjoules(now - seen));
    last = *value;
    seen = now;
  }

  /// Of a counter that went down. It has come to its range if that is little enough to have been
  /// used; else it was set back, to 0 if `value` is that little, and what it lost is not known.
  std::uint64_t used_since(std::uint64_t value, double most) const {
    if (last <= range) {
      const std::uint64_t around = range - last + value;
      if (static_cast<double>(around) <= most) return around;
    }
    return static_cast<double>(value) <= most ? value : 0;
  }
};

/// `package-0` and so on. `psys`, the whole board, holds them once more.
bool is_package(const fs::path& zone) {
  try {
    return short_text(zone / "name").starts_with("package");
  } catch (const Error&) {
    return false;
  }
}

std::vector<Counter> find_counters(const fs::path& root) {
  std::vector<Counter> found;
  std::error_code error;
  for (fs::directory_iterator entry(root, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    // `intel-rapl:0:1` is a part of `intel-rapl:0`.
    if (!name.starts_with("intel-rapl:") || name.find(':') != name.rfind(':')) continue;
    if (!is_package(entry->path())) continue;
    const auto value = number_in(entry->path() / "energy_uj");
    const auto range = number_in(entry->path() / "max_energy_range_uj");
    if (value && range)
      found.push_back({.file = entry->path() / "energy_uj", .range = *range, .last = *value});
  }
  return found;
}

}  // namespace

struct EnergyMeter::Impl {
  std::uint64_t microjoules() {
    const std::lock_guard guard(mutex);
    std::uint64_t total = 0;
    for (auto& counter : counters) {
      counter.sample();
      total += counter.total;
    }
    return total;
  }
  void keep_sampling(const std::stop_token& stop, std::chrono::milliseconds every) {
    std::unique_lock lock(mutex);
    while (!wake.wait_for(lock, stop, every, [&stop] { return stop.stop_requested(); })) {
      for (auto& counter : counters) counter.sample();
    }
  }

  std::vector<Counter> counters;
  std::mutex mutex;
  std::condition_variable_any wake;
  std::jthread thread;  // last: it ends before what it uses
};

EnergyMeter::EnergyMeter(const EnergyMeterOptions& options) : impl_(std::make_unique<Impl>()) {
  impl_->counters = find_counters(options.root);
  if (impl_->counters.empty()) return;
  try {
    impl_->thread =
        std::jthread([impl = impl_.get(), every = options.sample_every](
                         const std::stop_token& stop) { impl->keep_sampling(stop, every); });
  } catch (const std::system_error&) {
    // There is no thread to be had: `joules` looks at the counters too.
  }
}

EnergyMeter::~EnergyMeter() = default;

bool EnergyMeter::readable() const {
  return !impl_->counters.empty();
}

double EnergyMeter::joules() {
  return static_cast<double>(impl_->microjoules()) * 1e-6;
}

}  // namespace distill::core

#include <distill/core/paths.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <system_error>

#include <distill/core/error.h>

namespace distill::core {

namespace fs = std::filesystem;

namespace {

[[noreturn]] void fail_to_look(const fs::path& path, const std::error_code& code) {
  fail<InputError>(shown(path), ": could not look at it: ", code.message());
}

fs::file_status status_of(const fs::path& path) {
  std::error_code code;
  const fs::file_status status = fs::status(path, code);
  // `not there` is an answer and sets a code as well.
  if (code && status.type() != fs::file_type::not_found) fail_to_look(path, code);
  return status;
}

}  // namespace

bool path_exists(const fs::path& path) {
  return fs::exists(status_of(path));
}

bool is_folder(const fs::path& path) {
  return fs::is_directory(status_of(path));
}

bool is_same_path(const fs::path& a, const fs::path& b) {
  if (!path_exists(a) || !path_exists(b)) return false;
  std::error_code code;
  const bool same = fs::equivalent(a, b, code);
  if (code) fail_to_look(a, code);
  return same;
}

std::vector<fs::path> list_folder(const fs::path& folder) {
  std::error_code code;
  std::vector<fs::path> paths;
  for (fs::directory_iterator item(folder, code), end; !code && item != end; item.increment(code)) {
    paths.push_back(item->path());
  }
  if (code) fail_to_look(folder, code);
  std::sort(paths.begin(), paths.end());
  return paths;
}

std::string without_controls(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto next = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : 0;
    // U+0080 to U+009F, which some terminals obey, are C2 80 to C2 9F.
    const bool c1 = byte == 0xC2 && next >= 0x80 && next < 0xA0;
    if (byte >= 0x20 && byte != 0x7F && !c1) {
      out += text[i];
      continue;
    }
    std::array<char, 5> hex{};
    std::snprintf(hex.data(), hex.size(), "\\x%02x", byte);
    out += hex.data();
  }
  return out;
}

std::string shown(const fs::path& path) {
  constexpr std::size_t kLongest = 400;
  std::string text = without_controls(path.string());
  if (text.size() > kLongest) text.replace(kLongest - 3, std::string::npos, "...");
  return text;
}

}  // namespace distill::core

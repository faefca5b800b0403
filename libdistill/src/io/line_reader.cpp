#include <distill/io/line_reader.h>

#include <vector>

#include "io/byte_source.h"

namespace distill::io {

namespace {

constexpr std::size_t kPiece = std::size_t{256} << 10;

}  // namespace

struct LineReader::Impl {
  Impl(const std::filesystem::path& path, std::uint64_t max_line_bytes)
      : source(open_byte_source(path)), most(max_line_bytes + 1) {}  // + CR

  std::string_view unread() const { return std::string_view(buffer).substr(begin); }

  /// False at the end of the file.
  bool read_more() {
    buffer.erase(0, begin);
    begin = 0;
    const std::size_t before = buffer.size();
    buffer.resize(before + kPiece);
    const std::size_t count = source->read(std::span(buffer).subspan(before));
    buffer.resize(before + count);
    return count > 0;
  }

  /// Passes over the rest of a line that is too long.
  void skip_line() {
    while (true) {
      const std::size_t newline = unread().find('\n');
      if (newline != std::string_view::npos) {
        begin += newline + 1;
        return;
      }
      begin = buffer.size();
      if (!read_more()) return;
    }
  }

  void skip_byte_order_mark() {
    constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
    while (unread().size() < kByteOrderMark.size() && read_more()) {
    }
    if (unread().starts_with(kByteOrderMark)) begin += kByteOrderMark.size();
  }

  std::unique_ptr<ByteSource> source;
  std::uint64_t most;
  std::string buffer;
  std::size_t begin = 0;
  std::int64_t number = 0;
};

LineReader::LineReader(const std::filesystem::path& path, std::uint64_t max_line_bytes)
    : impl_(std::make_unique<Impl>(path, max_line_bytes)) {}

LineReader::~LineReader() = default;

std::optional<LineReader::Line> LineReader::next() {
  Impl& state = *impl_;
  if (state.number == 0) state.skip_byte_order_mark();
  std::size_t looked_at = 0;
  std::size_t newline = std::string_view::npos;
  while (true) {
    newline = state.unread().find('\n', looked_at);
    looked_at = state.unread().size();
    const std::size_t length = newline == std::string_view::npos ? looked_at : newline;
    if (length > state.most) {
      state.skip_line();
      return Line{{}, ++state.number, true};
    }
    if (newline != std::string_view::npos || !state.read_more()) break;
  }
  std::string_view text = state.unread().substr(0, newline);
  if (newline == std::string_view::npos && text.empty()) return std::nullopt;
  state.begin += newline == std::string_view::npos ? text.size() : newline + 1;
  if (text.ends_with('\r')) text.remove_suffix(1);
  return Line{text, ++state.number, false};
}

std::uint64_t LineReader::consumed() const {
  return impl_->source->consumed();
}

std::string LineReader::content_hash() const {
  return impl_->source->content_hash();
}

}  // namespace distill::io

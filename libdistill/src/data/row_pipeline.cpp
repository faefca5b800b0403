#include "data/row_pipeline.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include <distill/core/error.h>
#include <distill/io/jsonl.h>

#include "data/start_thread.h"

namespace distill::data {

namespace {

constexpr std::size_t kChunkBytes = std::size_t{256} << 10;
constexpr std::size_t kChunkLines = 1024;
constexpr std::size_t kBytesInFlight = std::size_t{64} << 20;
constexpr std::size_t kMostThreads = 128;

/// Some lines, and what became of them.
struct Chunk {
  struct Line {
    std::size_t begin = 0, size = 0;
    std::int64_t number = 0;
    bool too_long = false;
  };
  std::string bytes;
  std::vector<Line> lines;
  std::uint64_t consumed = 0;  ///< of the file, at the chunk's end

  std::vector<ReadRow> rows;
  std::exception_ptr error;  ///< not the fault of a row; `rows` are those before it
  bool done = false;
};

std::uint64_t text_bytes(const DocumentRow& row) {
  if (const auto* text = row.text()) return text->size();
  if (const auto* parts = row.completion()) return parts->prompt.size() + parts->completion.size();
  std::uint64_t bytes = 0;
  for (const auto& message : *row.messages()) bytes += message.content.size();
  return bytes;
}

/// How all rows of a file are read.
struct Reading {
  std::string file;
  const DocumentEncoder* encoder = nullptr;
  std::string label_field;
};

ReadRow read_row(const io::LineReader::Line& line, const Reading& reading) {
  ReadRow row;
  row.line = line.number;
  try {
    DocumentRow document =
        parse_document_row(io::parse_jsonl_row(line, reading.file), reading.label_field);
    row.form = document.form;
    row.label = std::move(document.label);
    row.text_bytes = text_bytes(document);
    if (reading.encoder != nullptr) row.document = reading.encoder->encode(document);
  } catch (const FormatError& error) {
    row.bad = error.what();
  }
  return row;
}

/// Threads that work on chunks; results are fetched by the one who gave them.
class Workers {
 public:
  /// Fewer than `count` where the system makes no more; throws Error where it makes none.
  Workers(std::size_t count, Reading reading) : reading_(std::move(reading)) {
    threads_.reserve(count);
    try {
      while (threads_.size() < count) threads_.push_back(start_thread([this] { run(); }));
    } catch (const Error&) {
      if (threads_.empty()) throw;
    }
  }
  ~Workers() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    wanted_.notify_all();
    for (auto& thread : threads_) thread.join();
  }
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  void give(Chunk& chunk) {
    {
      const std::lock_guard lock(mutex_);
      waiting_.push_back(&chunk);
    }
    wanted_.notify_one();
  }

  bool is_done(const Chunk& chunk) {
    const std::lock_guard lock(mutex_);
    return chunk.done;
  }

  /// True when it is done; waits for a short time only.
  bool wait(const Chunk& chunk) {
    std::unique_lock lock(mutex_);
    return done_.wait_for(lock, std::chrono::milliseconds(50), [&] { return chunk.done; });
  }

 private:
  void run() {
    std::unique_lock lock(mutex_);
    while (true) {
      wanted_.wait(lock, [this] { return stop_ || !waiting_.empty(); });
      if (stop_) return;
      Chunk& chunk = *waiting_.front();
      waiting_.pop_front();
      lock.unlock();
      work(chunk);
      lock.lock();
      chunk.done = true;
      done_.notify_all();
    }
  }

  void work(Chunk& chunk) const {
    try {
      chunk.rows.reserve(chunk.lines.size());
      for (const Chunk::Line& line : chunk.lines) {
        const std::string_view text = std::string_view(chunk.bytes).substr(line.begin, line.size);
        chunk.rows.push_back(read_row({text, line.number, line.too_long}, reading_));
      }
    } catch (...) {
      chunk.error = std::current_exception();
    }
  }

  const Reading reading_;
  std::mutex mutex_;
  std::condition_variable wanted_, done_;
  std::deque<Chunk*> waiting_;
  bool stop_ = false;
  std::vector<std::thread> threads_;
};

/// The next lines, or none at the end.
std::unique_ptr<Chunk> read_chunk(io::LineReader& lines) {
  auto chunk = std::make_unique<Chunk>();
  while (chunk->bytes.size() < kChunkBytes && chunk->lines.size() < kChunkLines) {
    const auto line = lines.next();
    if (!line) break;
    chunk->lines.push_back({chunk->bytes.size(), line->text.size(), line->number, line->too_long});
    chunk->bytes += line->text;
  }
  chunk->consumed = lines.consumed();
  return chunk;
}

void take_rows(Chunk& chunk, const RowPipeline& pipeline) {
  for (ReadRow& row : chunk.rows) pipeline.take(std::move(row));
  if (chunk.error) std::rethrow_exception(chunk.error);
  if (pipeline.between) pipeline.between(chunk.consumed);
}

}  // namespace

std::string read_rows(const std::filesystem::path& path, const RowPipeline& pipeline) {
  io::LineReader lines(path, io::kJsonlRowLimits.max_bytes);
  const auto wanted = static_cast<std::size_t>(std::max<std::int64_t>(pipeline.threads, 0));
  const std::size_t processors = std::max(1u, std::thread::hardware_concurrency());
  std::deque<std::unique_ptr<Chunk>> in_flight;  // outlives the threads that work on it
  Workers workers(std::min(wanted > 0 ? wanted : processors, kMostThreads),
                  {path.string(), pipeline.encoder, pipeline.label_field});
  std::size_t bytes = 0;
  std::exception_ptr stream_error;  // lies behind all rows read so far
  bool more = true;
  while (more || !in_flight.empty()) {
    while (more && (in_flight.empty() || bytes < kBytesInFlight) &&
           in_flight.size() < 4 * kMostThreads) {
      std::unique_ptr<Chunk> chunk;
      try {
        chunk = read_chunk(lines);
      } catch (const Error&) {
        stream_error = std::current_exception();
      }
      more = chunk != nullptr && !chunk->lines.empty();
      if (!more) break;
      bytes += chunk->bytes.size();
      in_flight.push_back(std::move(chunk));
      workers.give(*in_flight.back());
      // Rows that are ready are taken at once, so that little piles up.
      if (workers.is_done(*in_flight.front())) break;
    }
    if (in_flight.empty()) break;
    Chunk& first = *in_flight.front();
    if (!workers.wait(first)) {
      if (pipeline.between) pipeline.between(first.consumed);
      continue;
    }
    take_rows(first, pipeline);
    bytes -= first.bytes.size();
    in_flight.pop_front();
  }
  if (stream_error) std::rethrow_exception(stream_error);
  return lines.content_hash();
}

}  // namespace distill::data

#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include <distill/text/chat_template.h>
#include <distill/text/tokenizer.h>

namespace distill::data {

/// How far the reading of a list of files has come.
struct ReadProgress {
  std::uint64_t bytes = 0;        ///< of the files, packed ones as they lie there
  std::uint64_t total_bytes = 0;  ///< of all of them
  std::int64_t documents = 0;
  std::int64_t tokens = 0;
};

/// What the same rows are read with for a teacher with another tokenizer.
struct TeacherReading {
  const text::Tokenizer& tokenizer;
  const text::ChatTemplate* chat = nullptr;  ///< as below
  /// Of the teacher; what lies behind them is not compared. As it is: no bound.
  std::int64_t max_positions = std::int64_t{1} << 40;
};

/// What rows are read with.
struct RowReading {
  const text::Tokenizer& tokenizer;
  const text::ChatTemplate* chat = nullptr;  ///< null: no row may be a conversation
  /// Called often, by the thread that asked for the reading; what it throws ends it.
  std::function<void()> between_rows = {};
  /// Called by the same thread, a few times a second at most.
  std::function<void(const ReadProgress&)> progress = {};
  /// The folder that `cache: auto` stands for; empty: tokens are held in memory.
  std::string cache_folder = {};
  std::int64_t threads = 0;  ///< that parse and tokenize; 0: one a processor
  /// Rows get what this teacher reads in their place; null: it reads the same ids, or there is
  /// none.
  const TeacherReading* teacher = nullptr;
};

}  // namespace distill::data

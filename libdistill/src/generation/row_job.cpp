#include "generation/row_job.h"

#include <utility>

#include <distill/core/hash.h>
#include <distill/core/interrupted.h>
#include <distill/core/paths.h>
#include <distill/core/strings.h>

namespace distill::generation {

namespace {

core::ProgressOptions labelled(core::ProgressOptions bar, const std::string& label) {
  bar.label += bar.label.empty() ? label : " " + label;
  return bar;
}

std::string plain(const std::string& text) {
  std::string result;
  bool blank = false;
  for (const char c : text) {
    if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
      blank = true;
      continue;
    }
    if (blank && !result.empty()) result += ' ';
    blank = false;
    result += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return result;
}

}  // namespace

RowJob::RowJob(RowJobOptions options)
    : options_(std::move(options)),
      file_({.path = options_.out, .facts = options_.facts, .restart = options_.restart}),
      bar_(labelled(options_.progress, options_.label)) {}

void RowJob::stop_if_asked() const {
  if (options_.stop == nullptr || !options_.stop->requested()) return;
  fail<Interrupted>("stopped by signal ", options_.stop->reason());
}

bool RowJob::is_enough(std::int64_t rows) const {
  return options_.most_rows > 0 && rows >= options_.most_rows;
}

void RowJob::make_all(std::int64_t& done, std::int64_t total, const Steps& steps) {
  io::JsonlReader reader(options_.in);
  for (std::int64_t i = 0; i < done; ++i) reader.next();
  while (true) {
    stop_if_asked();
    Rows rows;
    while (std::ssize(rows) < options_.rows_at_once && !is_enough(done + std::ssize(rows))) {
      auto row = reader.next();
      if (!row) break;
      rows.push_back(std::move(*row));
    }
    if (rows.empty()) break;
    steps.make(rows);
    done += std::ssize(rows);
    file_.commit_part(steps.counts(done));
    bar_.update(static_cast<double>(done), static_cast<double>(total), steps.shown());
  }
}

void RowJob::run(std::int64_t done, std::int64_t total, const Steps& steps, core::Logger& log) {
  bar_.go_on_from(static_cast<double>(done), static_cast<double>(total));
  try {
    make_all(done, total, steps);
  } catch (...) {
    if (done > 0) {
      log.info(core::shown(options_.out), ": ", core::with_thousands(done),
               " rows are done and kept; the same command goes on from there");
    } else {
      log.info(core::shown(options_.out), ": no row is done yet; the same command begins anew");
    }
    throw;
  }
  file_.finish();
}

std::string same_words(const std::vector<std::string>& texts) {
  std::string all;
  for (const auto& text : texts) all += plain(text) + '\0';
  return core::hash_text(all);
}

}  // namespace distill::generation

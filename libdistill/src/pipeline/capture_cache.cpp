#include <algorithm>
#include <exception>
#include <functional>
#include <set>

#include <distill/core/error.h>
#include <distill/core/files.h>
#include <distill/core/interrupted.h>
#include <distill/core/paths.h>
#include <distill/core/strings.h>
#include <distill/data/make_batch.h>
#include <distill/io/logit_cache_writer.h>
#include <distill/pipeline/capture.h>
#include <distill/recipe/cache.h>
#include <distill/teachers/cache_head.h>
#include <distill/teachers/capture.h>
#include <distill/types/batch.h>

namespace distill::pipeline {

namespace {

/// What fails on one rank ends all: the others would wait for it for ever.
void together(dist::Communicator& ranks, const std::function<void()>& action) {
  std::exception_ptr error;
  try {
    action();
  } catch (...) {
    error = std::current_exception();
  }
  const bool failed = ranks.any(error != nullptr);
  if (error) std::rethrow_exception(error);
  if (failed) fail<DistributedError>("another rank failed; its message says why");
}

/// A segment to capture: where it was first seen.
struct Task {
  const data::Dataset* dataset;
  recipe::SegmentPlace place;
};
/// Segments of one forward pass. Made of the data alone, so that a segment's neighbours, and with
/// them the teacher's rounding, do not depend on ranks and stops.
using Group = std::vector<Task>;

std::vector<Group> make_groups(const CaptureJob& job) {
  std::vector<Group> groups;
  std::set<types::SegmentKey> seen;
  std::int64_t tokens = 0;
  for (const auto& dataset : job.data) {
    recipe::for_each_segment(*dataset, [&](const recipe::SegmentPlace& place) {
      if (!seen.insert(place.key).second) return;
      if (groups.empty() || tokens + place.tokens > job.tokens_at_once) {
        groups.emplace_back();
        tokens = 0;
      }
      groups.back().push_back({dataset.get(), place});
      tokens += place.tokens;
    });
  }
  return groups;
}

std::int64_t count_segments(const std::vector<Group>& groups) {
  std::int64_t count = 0;
  for (const Group& group : groups) count += std::ssize(group);
  return count;
}

/// The segments of a group laid end to end.
types::Batch batch_of(const Group& group, std::int64_t vocabulary) {
  data::Row all;
  all.segments.push_back(0);
  for (const Task& task : group) {
    const data::Row row = task.dataset->row(task.place.row);
    const std::int64_t begin = row.segments[task.place.segment];
    const std::int64_t end = row.segments[task.place.segment + 1];
    all.ids.insert(all.ids.end(), row.ids.begin() + begin, row.ids.begin() + end);
    all.is_target.insert(all.is_target.end(), row.is_target.begin() + begin,
                         row.is_target.begin() + end);
    all.segments.push_back(std::ssize(all.ids));
  }
  types::Batch batch = data::make_batch({all});
  batch.vocabulary = vocabulary;
  return batch;
}

class Capture {
 public:
  Capture(const CaptureJob& job, teachers::Teacher& teacher, dist::Communicator& ranks,
          core::Logger& log)
      : job_(job), teacher_(teacher), ranks_(ranks), log_(log), bar_(bar_options(job)) {}

  void run() {
    open();
    if (writer_->finished()) {
      together(ranks_, [&] {
        if (ranks_.is_main()) check_finished();
      });
      log_.info(core::shown(job_.folder), ": is complete already; add --restart to do it again");
      return;
    }
    together(ranks_, [&] {
      if (ranks_.is_main() && !job_.head.empty()) {
        core::rename_durably(job_.head, job_.folder / io::kCacheHeadFile);
      }
    });
    const std::vector<Group> groups = make_groups(job_);
    const std::int64_t total = count_segments(groups);
    if (writer_->num_written() > 0) {
      log_.info(core::shown(job_.folder), ": going on after ",
                core::with_thousands(writer_->num_written()), " of ", core::with_thousands(total),
                " segments");
    }
    const std::int64_t size = ranks_.size();
    for (std::int64_t round = 0; round < std::ssize(groups); round += size) {
      stop_if_asked();
      const auto mine = static_cast<std::size_t>(round + ranks_.rank());
      together(ranks_, [&] {
        if (mine < groups.size()) write(groups[mine]);
      });
      const auto end = static_cast<double>(std::min(round + size, std::ssize(groups)));
      const auto all = static_cast<double>(groups.size());
      if (positions_ == 0) bar_.go_on_from(end, all);  // they were there before
      bar_.update(end, all, core::concat(core::with_thousands(positions_), " positions"));
    }
    together(ranks_, [&] { writer_->sync(); });
    together(ranks_, [&] {
      if (ranks_.is_main()) writer_->finish(total);
    });
  }

 private:
  static core::ProgressOptions bar_options(const CaptureJob& job) {
    core::ProgressOptions bar = job.progress;
    bar.label += bar.label.empty() ? "capturing" : " capturing";
    return bar;
  }

  /// Rank 0 first: it makes the folder.
  void open() {
    const auto make = [&] {
      writer_ = std::make_unique<io::LogitCacheWriter>(
          job_.folder, job_.spec,
          io::LogitCacheWriter::Options{.rank = ranks_.rank(), .restart = job_.restart});
    };
    together(ranks_, [&] {
      if (ranks_.is_main()) make();
    });
    together(ranks_, [&] {
      if (!ranks_.is_main()) make();
    });
    together(ranks_, [&] {
      if (!writer_->finished()) writer_->find_written();
    });
  }

  /// That it was finished once says nothing of what became of its bytes.
  void check_finished() const {
    const io::LogitCache cache(job_.folder);
    log_.info(core::shown(job_.folder), ": was finished before; reading it again, ",
              core::human_bytes(cache.info().bytes));
    cache.read_all([&](const io::LogitCache::Segment&) {
      if (job_.stop == nullptr || !job_.stop->requested()) return;
      fail<Interrupted>(core::shown(job_.folder), ": stopped by signal ", job_.stop->reason(),
                        " while it was read again");
    });
    if (cache.info().spec.form == io::SignalForm::kHidden) teachers::read_cache_head(cache.info());
  }

  void write(const Group& group) {
    const auto is_there = [&](const Task& task) { return writer_->has(task.place.key.words); };
    if (std::ranges::all_of(group, is_there)) return;
    const types::Batch batch = types::moved_to(batch_of(group, job_.spec.vocabulary), job_.device);
    const auto segments = teachers::capture(teacher_, batch,
                                            {.form = job_.spec.form,
                                             .size = job_.spec.size,
                                             .vocabulary = job_.spec.vocabulary,
                                             .temperature = job_.spec.temperature,
                                             .seed = job_.seed});
    for (const auto& segment : segments) {
      if (writer_->has(segment.key.words)) continue;
      writer_->add(segment.key.words, segment.positions, segment.payload);
      positions_ += segment.positions;
    }
  }

  void stop_if_asked() {
    const bool asked = job_.stop != nullptr && job_.stop->requested();
    if (!ranks_.any(asked)) return;
    together(ranks_, [&] { writer_->sync(); });
    fail<Interrupted>(core::shown(job_.folder), ": stopped",
                      asked ? core::concat(" by signal ", job_.stop->reason()) : "",
                      "; what was captured is kept, the same command goes on from there");
  }

  const CaptureJob& job_;
  teachers::Teacher& teacher_;
  dist::Communicator& ranks_;
  core::Logger& log_;
  core::ProgressBar bar_;
  std::unique_ptr<io::LogitCacheWriter> writer_;
  std::int64_t positions_ = 0;
};

}  // namespace

io::LogitCacheInfo capture_cache(const CaptureJob& job, teachers::Teacher& teacher,
                                 dist::Communicator& ranks, core::Logger& log) {
  Capture(job, teacher, ranks, log).run();
  ranks.barrier();
  return io::read_logit_cache_info(job.folder);
}

}  // namespace distill::pipeline

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include <unistd.h>

#include <distill/core/error.h>
#include <distill/core/interrupted.h>
#include <distill/core/paths.h>
#include <distill/models/load.h>
#include <distill/pipeline/capture.h>
#include <distill/recipe/cache.h>
#include <distill/teachers/cache_head.h>
#include <distill/teachers/local_teacher.h>

namespace distill::pipeline {

namespace {

std::unique_ptr<teachers::Teacher> load_teacher(const recipe::Recipe& recipe,
                                                const recipe::PlannedModels& models,
                                                const CaptureOptions& options, core::Logger& log) {
  models::LoadOptions load = recipe::teacher_load_options(recipe, models);
  load.available_memory = options.available_memory;
  load.log = &log;
  return teachers::make_local_teacher(models::load_causal_lm(models.teacher->folder, load),
                                      models.teacher->folder.string());
}

/// A new file beside `folder` that nobody else has or had.
std::filesystem::path new_file_beside(const std::filesystem::path& folder) {
  std::string name = folder.string() + ".head.tmp-XXXXXX";
  const int descriptor = ::mkstemp(name.data());
  if (descriptor < 0) {
    const int code = errno;
    fail<IoError>(core::shown(folder),
                  ": could not make a file beside it: ", std::generic_category().message(code));
  }
  ::close(descriptor);
  return name;
}

/// The head that goes with hidden states. Its hash is a part of what the cache is, so it waits
/// beside the folder until that is known to be the capture's.
class HeadFile {
 public:
  HeadFile(const recipe::CacheTeacherOptions& options, teachers::Teacher& teacher,
           at::Device device) {
    if (options.form_or_default() != io::SignalForm::kHidden) return;
    types::Batch batch;  // any: every answer comes with the head
    batch.input = types::pack({{0}});
    batch.input.input_ids = batch.input.input_ids.to(device);
    batch.input.position_ids = batch.input.position_ids.to(device);
    const types::TeacherSignal signal = teacher.signal(batch);
    std::filesystem::path folder = options.path;
    if (folder.filename().empty()) folder = folder.parent_path();
    if (folder.has_parent_path()) std::filesystem::create_directories(folder.parent_path());
    path_ = new_file_beside(folder);
    hash_ = teachers::write_cache_head(path_, std::get<types::DenseHidden>(signal));
  }
  ~HeadFile() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove(path_, ignored);
  }
  HeadFile(const HeadFile&) = delete;
  HeadFile& operator=(const HeadFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  const std::string& hash() const { return hash_; }

 private:
  std::filesystem::path path_;
  std::string hash_;
};

}  // namespace

io::LogitCacheInfo capture_recipe(const recipe::Recipe& recipe, const CaptureOptions& options,
                                  core::Logger& log) {
  const recipe::PlannedModels models = recipe::plan_capture(recipe);
  recipe::DataHooks hooks;
  hooks.cache_folder = options.token_cache;
  hooks.between_rows = [&options] {
    if (options.stop == nullptr || !options.stop->requested()) return;
    fail<Interrupted>("stopped by signal ", options.stop->reason());
  };
  const recipe::DataParts data = recipe::load_data(recipe, models, log, hooks);
  const auto teacher = load_teacher(recipe, models, options, log);
  log.info("capturing: ", teacher->describe());
  const recipe::CacheTeacherOptions& cache = *recipe::cache_teacher(recipe);
  const HeadFile head(cache, *teacher, models.device);
  CaptureJob job;
  job.folder = cache.path;
  job.head = head.path();
  job.spec = recipe::cache_spec(recipe, models, data, head.hash());
  job.data.push_back(data.train);
  if (data.eval) job.data.push_back(data.eval);
  job.seed = static_cast<std::uint64_t>(recipe.seed);
  job.device = models.device;
  job.tokens_at_once = std::max(job.tokens_at_once, recipe.data.sequence_length);
  job.restart = options.restart;
  job.stop = options.stop;
  job.progress = options.progress;
  const auto ranks = dist::make_single();
  return capture_cache(job, *teacher, *ranks, log);
}

}  // namespace distill::pipeline

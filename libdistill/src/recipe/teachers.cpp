#include <distill/core/error.h>
#include <distill/models/load.h>
#include <distill/recipe/registries.h>
#include <distill/recipe/several_teachers.h>
#include <distill/teachers/base_teacher.h>
#include <distill/teachers/cache_teacher.h>
#include <distill/teachers/local_teacher.h>

namespace distill::recipe {

namespace {

std::unique_ptr<teachers::Teacher> make_local(const LocalTeacherOptions& options,
                                              const TeacherContext& context) {
  auto model = context.loaded;
  if (!model) {
    models::LoadOptions load;
    load.dtype = dtype_of(context.precision);
    load.device = context.device;
    model = models::load_causal_lm(options.model, load);
  }
  return teachers::make_local_teacher(std::move(model), options.model);
}

std::unique_ptr<teachers::Teacher> make_base(const BaseTeacherOptions&,
                                             const TeacherContext& context) {
  if (!context.student || context.student->adapter_switch() == nullptr) {
    fail<ConfigError>(
        "teacher.kind: `base` is the student without its adapters; it needs "
        "`student.lora`");
  }
  return teachers::make_base_teacher(context.student);
}

std::unique_ptr<teachers::Teacher> make_cache(const CacheTeacherOptions& options,
                                              const TeacherContext&) {
  return teachers::make_cache_teacher(std::make_shared<io::LogitCache>(options.path));
}

}  // namespace

void add_builtin_teachers(TeacherRegistry& registry) {
  registry.add<LocalTeacherOptions>("local", make_local);
  registry.add<BaseTeacherOptions>("base", make_base);
  registry.add<CacheTeacherOptions>("cache", make_cache);
  registry.add<SeveralTeachersOptions>("several", make_several);
  registry.add<NoTeacherOptions>(
      "none",
      [](const NoTeacherOptions&, const TeacherContext&) -> teachers::Teacher* { return nullptr; });
}

}  // namespace distill::recipe

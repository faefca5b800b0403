#include <distill/losses/builtins.h>
#include <distill/recipe/registries.h>
#include <distill/train/builtins.h>

namespace distill::recipe {

Registries builtin_registries() {
  Registries registries;
  losses::add_builtin_losses(registries.losses);
  add_builtin_teachers(registries.teachers);
  train::add_builtin_optimizers(registries.optimizers);
  return registries;
}

}  // namespace distill::recipe

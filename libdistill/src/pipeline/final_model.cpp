#include "pipeline/final_model.h"

#include <algorithm>
#include <system_error>

#include <distill/core/error.h>
#include <distill/lora/peft.h>
#include <distill/models/save.h>

namespace distill::pipeline {

namespace fs = std::filesystem;

namespace {

/// PEFT takes adapters of a mixture's feed-forward layers for those of its fused experts.
void warn_of_experts(const models::CausalLm& student, const recipe::PlannedModels& plan,
                     const fs::path& folder, core::Logger& log) {
  const auto sites = student.adapter_sites();
  const bool mixture =
      std::ranges::any_of(sites, [](const auto& site) { return site.routed_expert; });
  const bool beside_attention = std::ranges::any_of(plan.adapters, [](const auto& adapter) {
    return adapter.first.find("self_attn") == std::string::npos;
  });
  if (!mixture || !beside_attention) return;
  log.warning(folder.string(),
              ": PEFT with transformers 5 reads only the attention's adapters of this family; "
              "use `distill export --adapter` for other programs");
}

}  // namespace

void save_final_model(models::CausalLm& student, const recipe::PlannedModels& plan,
                      const std::string& base_fingerprint, const fs::path& folder,
                      core::Logger& log) {
  std::error_code error;
  fs::remove_all(folder, error);  // of a process that ended before its report
  if (error) fail<IoError>(folder.string(), ": could not remove it: ", error.message());
  const fs::path& base = plan.student.folder;
  if (!plan.adapters.empty()) {
    warn_of_experts(student, plan, folder, log);
    return lora::save_adapter(student, folder, {base, base_fingerprint});
  }
  models::SaveOptions save;
  save.base_folder = base;
  models::save_causal_lm(student, folder, save);
}

}  // namespace distill::pipeline

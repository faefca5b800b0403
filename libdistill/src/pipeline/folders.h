#pragma once

#include <filesystem>
#include <span>
#include <string_view>

#include <distill/core/log.h>

/// What run folders and folders of pipelines have in common.
namespace distill::pipeline {

/// Throws InputError for a path that cannot be a folder, IoError when the disk is full.
void make_folder(const std::filesystem::path& path);

/// Renames to the first free NAME.old-N.
void move_aside(const std::filesystem::path& path, core::Logger& log);

/// First lines of the recipe.yaml that libdistill writes: a file without one is the user's own.
/// Part of the formats of run folders and of pipelines' folders, do not change.
constexpr std::string_view kRunMarker = "# resolved recipe of a run, written by distill_train\n";
constexpr std::string_view kPipelineMarker =
    "# resolved recipe of a pipeline, written by distill_train\n";
/// The recipe.yaml in the folder is there and begins so.
bool recipe_begins_with(const std::filesystem::path& folder, std::string_view marker);

/// `NAME.tmp-N` of one of the names that are written; anything else is the user's.
bool is_leftover(const std::filesystem::path& path, std::span<const std::string_view> names);

}  // namespace distill::pipeline

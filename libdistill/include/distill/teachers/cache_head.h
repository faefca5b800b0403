#pragma once

#include <filesystem>
#include <string>

#include <ATen/core/Tensor.h>

#include <distill/io/logit_cache.h>
#include <distill/types/teacher_signal.h>

namespace distill::teachers {

/// What turns a cache's hidden states into logits: the teacher's head, kept once beside them.
struct CacheHead {
  at::Tensor head;  ///< bf16 [Vt, Ht], as it lies in its file
  types::LogitTransform transform;
};

/// Writes the head of a signal in bf16; returns the file's hash, which is a fact of the cache.
std::string write_cache_head(const std::filesystem::path& path, const types::DenseHidden& signal);

/// Throws FormatError when the file is not the one that the cache tells of.
CacheHead read_cache_head(const io::LogitCacheInfo& cache);

}  // namespace distill::teachers

# Finds what the library links. Torch comes from CMAKE_PREFIX_PATH / Torch_DIR, else from the
# project's own .venv (scripts/setup makes it).
if(NOT Torch_DIR AND NOT DEFINED ENV{Torch_DIR})
  file(GLOB distill_venv_torch "${PROJECT_SOURCE_DIR}/.venv/lib/python3*/site-packages/torch/share/cmake")
  list(APPEND CMAKE_PREFIX_PATH ${distill_venv_torch})
endif()

find_program(DISTILL_CCACHE ccache)
if(DISTILL_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # Without this ccache does not look at files that use a precompiled header.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros
                                  ${DISTILL_CCACHE})
endif()

# Torch's own file warns about an optional static library that CPU wheels do not ship.
set(distill_suppress_saved ${CMAKE_MESSAGE_LOG_LEVEL})
set(CMAKE_MESSAGE_LOG_LEVEL ERROR)
find_package(Torch REQUIRED)
set(CMAKE_MESSAGE_LOG_LEVEL ${distill_suppress_saved})

find_package(Threads REQUIRED)
# at::parallel_for is a template: without OpenMP in the file that uses it, it runs on one thread.
if(NOT DISTILL_FUZZ)  # Clang has none of its own, and no layer that is fuzzed uses it
  find_package(OpenMP REQUIRED COMPONENTS CXX)
  set(DISTILL_OPENMP OpenMP::OpenMP_CXX)
endif()
find_package(spdlog REQUIRED)
find_package(nlohmann_json 3.11 REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(ZLIB REQUIRED)
find_package(CURL 7.85 REQUIRED)
find_package(CLI11 REQUIRED)
find_library(DISTILL_UTF8PROC utf8proc REQUIRED)  # no CMake package in Debian; linked by name
find_library(DISTILL_XXHASH xxhash REQUIRED)
find_library(DISTILL_ZSTD zstd REQUIRED)
find_library(DISTILL_SENTENCEPIECE sentencepiece REQUIRED)
find_library(DISTILL_PCRE2 pcre2-8 REQUIRED)
find_path(DISTILL_GLOO_INCLUDE gloo/algorithm.h)  # optional: teachers over c10d

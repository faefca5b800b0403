# Whether the CUDA bodies of the operators are built: DISTILL_WITH_CUDA, from DISTILL_CUDA, the
# LibTorch that was found and nvcc.
set(DISTILL_CUDA AUTO CACHE STRING "Operators on NVIDIA GPUs: AUTO (if LibTorch has CUDA and nvcc is there), ON or OFF")
set_property(CACHE DISTILL_CUDA PROPERTY STRINGS AUTO ON OFF)
if(NOT DISTILL_CUDA MATCHES "^(AUTO|ON|OFF)$")
  message(FATAL_ERROR "DISTILL_CUDA is \"${DISTILL_CUDA}\", expected AUTO, ON or OFF")
endif()

find_program(DISTILL_NVCC nvcc HINTS ${CMAKE_CUDA_COMPILER} ENV CUDACXX
             PATHS ENV CUDA_HOME ENV CUDA_PATH /usr/local/cuda PATH_SUFFIXES bin)

set(DISTILL_WITH_CUDA OFF)
if(NOT DISTILL_CUDA STREQUAL "OFF")
  if(TARGET torch_cuda AND DISTILL_NVCC)
    set(DISTILL_WITH_CUDA ON)
  elseif(DISTILL_CUDA STREQUAL "ON" AND NOT TARGET torch_cuda)
    message(FATAL_ERROR "DISTILL_CUDA is ON and the LibTorch at ${Torch_DIR} has no CUDA")
  elseif(DISTILL_CUDA STREQUAL "ON")
    message(FATAL_ERROR "DISTILL_CUDA is ON and nvcc was not found; set DISTILL_NVCC to its path")
  endif()
endif()

if(DISTILL_WITH_CUDA)
  if(NOT CMAKE_CUDA_COMPILER)
    set(CMAKE_CUDA_COMPILER ${DISTILL_NVCC})
  endif()
  if(NOT CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES 80 90)
  endif()
  enable_language(CUDA)
  find_package(CUDAToolkit REQUIRED)
endif()

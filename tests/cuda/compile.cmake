# Compiles what a build with CUDA would: every .cu for real GPUs, and the files between LibTorch
# and the kernels, as far as headers go. For machines whose LibTorch has no CUDA.
#   cmake -DNVCC=... -DCXX=... -DSOURCE_DIR=... -DINCLUDES=a;b -DWORK_DIR=... -P compile.cmake
if(NOT NVCC)
  message("skipped: nvcc was not found")
  return()
endif()
set(src ${SOURCE_DIR}/libdistill/src)
file(MAKE_DIRECTORY ${WORK_DIR})

file(GLOB_RECURSE kernels ${src}/*.cu)
if(NOT kernels)
  message(FATAL_ERROR "no .cu file under ${src}")
endif()
foreach(file IN LISTS kernels)
  get_filename_component(name ${file} NAME_WE)
  execute_process(
    COMMAND ${NVCC} -std=c++20 -O2 -Werror all-warnings -Xcompiler -Wall,-Wextra,-Wshadow,-Werror
            -gencode arch=compute_80,code=sm_80 -gencode arch=compute_90,code=sm_90
            -I${src} -c ${file} -o ${WORK_DIR}/${name}.o
    COMMAND_ECHO STDOUT COMMAND_ERROR_IS_FATAL ANY)
endforeach()

# nvcc may be a wrapper: it knows where its headers are.
list(GET kernels 0 first)
execute_process(COMMAND ${NVCC} --dryrun -c ${first} ERROR_VARIABLE says COMMAND_ERROR_IS_FATAL ANY)
if(NOT says MATCHES "INCLUDES=\"-I([^\"]+)\"")
  message(FATAL_ERROR "nvcc --dryrun names no folder of headers:\n${says}")
endif()
set(flags -isystem${CMAKE_MATCH_1})
foreach(folder IN LISTS INCLUDES)
  list(APPEND flags -isystem${folder})
endforeach()
# A LibTorch without CUDA lacks the one header that says how its CUDA part was built.
file(GLOB bridges ${src}/ops/*_cuda.cpp)
list(FILTER bridges EXCLUDE REGEX "_no_cuda\\.cpp$")
foreach(file IN LISTS bridges)
  execute_process(
    COMMAND ${CXX} -std=c++20 -fsyntax-only -Wall -Wextra -Wpedantic -Wshadow -Werror -Wno-unused-parameter
            -DC10_CUDA_NO_CMAKE_CONFIGURE_FILE -I${src} -I${SOURCE_DIR}/libdistill/include ${flags} ${file}
    COMMAND_ECHO STDOUT COMMAND_ERROR_IS_FATAL ANY)
endforeach()

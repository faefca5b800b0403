# distill_sources(<file>...): files of a layer. Those that include LibTorch's operators are compiled
# with them in their precompiled header, which would only take time of the others: parsing the
# operators takes 2-3 s of a file, loading them 1 s. The choice is made when CMake runs; one that
# is out of date costs this time.
function(distill_sources)
  foreach(file IN LISTS ARGN)
    cmake_path(ABSOLUTE_PATH file BASE_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
    file(STRINGS ${file} operators LIMIT_COUNT 1 REGEX "#include <ATen/(ops/|TensorOperators)")
    if(operators)
      set_property(GLOBAL APPEND PROPERTY distill_operator_sources ${file})
    else()
      target_sources(distill PRIVATE ${file})
    endif()
  endforeach()
endfunction()

# distill_operator_objects(): when all layers are there, makes a target of such files.
function(distill_operator_objects)
  get_property(sources GLOBAL PROPERTY distill_operator_sources)
  if(NOT sources)
    return()
  endif()
  add_library(distill_operators OBJECT ${sources})
  distill_compile_options(distill_operators)
  target_include_directories(distill_operators PRIVATE $<TARGET_PROPERTY:distill,INCLUDE_DIRECTORIES>)
  target_link_libraries(distill_operators PRIVATE torch ${DISTILL_OPENMP} $<$<BOOL:${DISTILL_WITH_CUDA}>:CUDA::cudart>)
  target_precompile_headers(distill_operators PRIVATE ${distill_headers} <ATen/TensorOperators.h>)
  target_sources(distill PRIVATE $<TARGET_OBJECTS:distill_operators>)
endfunction()

# DISTILL_CODE_VERSION: what runs write down as the version of libdistill. In a checkout the commit is
# in it, as two of one version may train differently: `0.1.0+a1b2c3d4e5f6`.
set(DISTILL_CODE_VERSION ${PROJECT_VERSION})
find_package(Git QUIET)
if(GIT_FOUND AND EXISTS ${PROJECT_SOURCE_DIR}/.git)
  execute_process(COMMAND ${GIT_EXECUTABLE} -C ${PROJECT_SOURCE_DIR} rev-parse --short=12 HEAD
                  OUTPUT_VARIABLE distill_commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  execute_process(COMMAND ${GIT_EXECUTABLE} -C ${PROJECT_SOURCE_DIR} rev-parse --path-format=absolute
                          --git-path logs/HEAD
                  OUTPUT_VARIABLE distill_log OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  if(distill_commit)
    string(APPEND DISTILL_CODE_VERSION "+${distill_commit}")
  endif()
  if(EXISTS "${distill_log}")  # grows with each commit
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${distill_log})
  endif()
endif()

# A relocatable package: headers, the library, and what find_package(distill) needs.
include(CMakePackageConfigHelpers)

install(TARGETS distill EXPORT distill_targets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
                                               LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/libdistill/include/distill
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(EXPORT distill_targets NAMESPACE distill:: FILE distill_targets.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/distill)

configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/distill_config.cmake.in
  ${CMAKE_CURRENT_BINARY_DIR}/distill-config.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/distill)
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/distill-config-version.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/distill-config.cmake
              ${CMAKE_CURRENT_BINARY_DIR}/distill-config-version.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/distill)

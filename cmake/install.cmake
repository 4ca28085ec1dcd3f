# Installs the ops library, its headers, and what find_package(torchcrop_fast) reads.
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

set(package_folder "${CMAKE_INSTALL_LIBDIR}/cmake/torchcrop_fast")
# The torch that it was built with is found where it lies; CMake's own list leaves out what lies in the source tree.
set_target_properties(
  torchcrop_fast PROPERTIES INSTALL_RPATH "${TORCHCROP_FAST_TORCH_FOLDER}/lib" INSTALL_RPATH_USE_LINK_PATH ON)
install(
  TARGETS torchcrop_fast
  EXPORT torchcrop_fastTargets
  LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}"
  FILE_SET HEADERS DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(EXPORT torchcrop_fastTargets NAMESPACE torchcrop_fast:: DESTINATION "${package_folder}")

configure_package_config_file(
  cmake/torchcrop_fastConfig.cmake.in torchcrop_fastConfig.cmake INSTALL_DESTINATION "${package_folder}")
write_basic_package_version_file(torchcrop_fastConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(
  FILES "${PROJECT_BINARY_DIR}/torchcrop_fastConfig.cmake" "${PROJECT_BINARY_DIR}/torchcrop_fastConfigVersion.cmake"
        cmake/torch.cmake
  DESTINATION "${package_folder}")

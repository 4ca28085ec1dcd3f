# Installs the ops library, its headers, and what find_package(torchcrop_fast) reads.
include(GNUInstallDirs)

set(package_folder "${CMAKE_INSTALL_LIBDIR}/cmake/torchcrop_fast")
# The torch that it was built with is found where it lies; CMake's own list leaves out what lies in the source tree.
set_target_properties(
  torchcrop_fast PROPERTIES INSTALL_RPATH "${TORCHCROP_FAST_TORCH_FOLDER}/lib" INSTALL_RPATH_USE_LINK_PATH ON)
install(
  TARGETS torchcrop_fast
  LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}"
  FILE_SET HEADERS DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")

# setup.py sets the same for the wheel.
set(TORCH_FOLDER "${TORCHCROP_FAST_TORCH_FOLDER}")
string(REGEX MATCH "^[0-9]+[.][0-9]+" TORCH_MINOR "${TORCHCROP_FAST_TORCH_VERSION}")
string(REGEX REPLACE "[^/]+" ".." UP "${package_folder}")
set(LIBRARY "${CMAKE_INSTALL_LIBDIR}/libtorchcrop_fast.so")
set(INCLUDE "${CMAKE_INSTALL_INCLUDEDIR}")
set(CUDA "${TORCHCROP_FAST_CUDA}")
configure_file(cmake/torchcrop_fastConfig.cmake.in torchcrop_fastConfig.cmake @ONLY)
set(VERSION "${PROJECT_VERSION}")
configure_file(cmake/torchcrop_fastConfigVersion.cmake.in torchcrop_fastConfigVersion.cmake @ONLY)
install(
  FILES "${PROJECT_BINARY_DIR}/torchcrop_fastConfig.cmake" "${PROJECT_BINARY_DIR}/torchcrop_fastConfigVersion.cmake"
        cmake/torch.cmake
  DESTINATION "${package_folder}")

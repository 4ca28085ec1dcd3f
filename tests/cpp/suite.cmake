# The GoogleTest suite of the public C++ functions: built here, and by projects that use the installed library.

# Makes the program ops_test, for the caller to link with torchcrop_fast; where GoogleTest is missing, says so instead.
function(torchcrop_fast_add_ops_test)
  find_package(GTest QUIET)
  if(NOT GTest_FOUND)
    message(STATUS "ops_test is left out: there is no GoogleTest (Debian: libgtest-dev)")
    return()
  endif()
  add_executable(ops_test)
  foreach(subject IN ITEMS pad crop_at library)
    target_sources(ops_test PRIVATE "${CMAKE_CURRENT_FUNCTION_LIST_DIR}/${subject}_test.cpp")
  endforeach()
  target_link_libraries(ops_test PRIVATE GTest::gtest_main ${CMAKE_DL_LIBS})
endfunction()

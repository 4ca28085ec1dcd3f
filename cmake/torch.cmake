# Finds torch, and makes targets of the few of its libraries that are needed. Installed, too: whoever uses
# torchcrop_fast needs torch's headers.
#
# find_package(Torch) would ask for a whole CUDA toolkit wherever torch was built with CUDA, for CPU programs as well.
# Nothing of that is needed here, and a program may call find_package(Torch) beside.

# Sets TORCHCROP_FAST_TORCH_FOLDER, that of torch's include and lib, in the cache, and TORCHCROP_FAST_TORCH_VERSION;
# makes the target torchcrop_fast::torch. Where that cannot be, the variable named by problem holds a sentence, and
# else nothing. Looks where the cache says; beside the torch of find_package(Torch); in CMAKE_PREFIX_PATH, also where
# that holds torch.utils.cmake_prefix_path; in further folders, given as arguments; where Python's torch is.
function(torchcrop_fast_find_torch problem)
  set(${problem} "" PARENT_SCOPE)
  set(folders ${TORCH_INSTALL_PREFIX})
  if(Torch_DIR)
    list(APPEND folders "${Torch_DIR}/../../..")
  endif()
  foreach(prefix IN LISTS CMAKE_PREFIX_PATH)
    list(APPEND folders "${prefix}" "${prefix}/../..")
  endforeach()
  list(APPEND folders ${ARGN})
  set(explanation "The folder of torch that has include and lib")
  find_path(TORCHCROP_FAST_TORCH_FOLDER include/ATen/ATen.h PATHS ${folders} NO_DEFAULT_PATH DOC "${explanation}")
  if(NOT TORCHCROP_FAST_TORCH_FOLDER)
    torchcrop_fast_folder_of_python_torch(folder)
    find_path(TORCHCROP_FAST_TORCH_FOLDER include/ATen/ATen.h PATHS ${folder} NO_DEFAULT_PATH DOC "${explanation}")
  endif()
  if(NOT TORCHCROP_FAST_TORCH_FOLDER)
    string(
      CONCAT
        text
        "There is no torch: set Python3_EXECUTABLE to a Python that has it, or TORCHCROP_FAST_TORCH_FOLDER to the"
        " directory that has torch's include and lib.")
    set(${problem} "${text}" PARENT_SCOPE)
    return()
  endif()

  set(folder "${TORCHCROP_FAST_TORCH_FOLDER}")
  set(version_header "${folder}/include/torch/headeronly/version.h")
  set(numbers "")
  foreach(part MAJOR MINOR PATCH)
    if(EXISTS "${version_header}")
      file(STRINGS "${version_header}" line REGEX "^#define TORCH_VERSION_${part} ")
      string(REGEX MATCH "[0-9]+$" number "${line}")
      list(APPEND numbers "${number}")
    endif()
  endforeach()
  list(JOIN numbers "." version)
  set(TORCHCROP_FAST_TORCH_VERSION "${version}" PARENT_SCOPE)
  if(version VERSION_LESS 2.11)
    set(${problem} "torchcrop_fast needs torch 2.11 or later, which ${folder} is not." PARENT_SCOPE)
    return()
  endif()

  torchcrop_fast_torch_library(torch_cpu torch_cpu)
  torchcrop_fast_torch_library(c10 c10)
  torchcrop_fast_torch_library(torch torch)
  if(NOT torch_cpu OR NOT c10 OR NOT torch)
    set(${problem} "There are no libraries torch, torch_cpu and c10 in ${folder}/lib." PARENT_SCOPE)
    return()
  endif()
  if(NOT TARGET torchcrop_fast::torch)
    add_library(torchcrop_fast::torch INTERFACE IMPORTED)
    set_target_properties(
      torchcrop_fast::torch
      PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${folder}/include;${folder}/include/torch/csrc/api/include"
                 INTERFACE_LINK_LIBRARIES "${torch_cpu};${c10}"
                 INTERFACE_COMPILE_FEATURES cxx_std_20)
    torchcrop_fast_keep(torchcrop_fast::torch "${torch}") # which models compiled by AOTInductor want
  endif()
endfunction()

# Asks Python3_EXECUTABLE, or else the Python that CMake finds, where its torch is.
function(torchcrop_fast_folder_of_python_torch result)
  set(${result} "" PARENT_SCOPE)
  if(DEFINED CACHE{Python3_EXECUTABLE})
    # Relative paths, of the folder that cmake was called in, become absolute by this.
    set(Python3_EXECUTABLE "" CACHE FILEPATH "The Python whose torch is used")
    set(python "${Python3_EXECUTABLE}")
  else()
    find_package(Python3 COMPONENTS Interpreter QUIET)
    set(python "${Python3_EXECUTABLE}")
  endif()
  if(NOT python)
    return()
  endif()
  set(code "from importlib.util import find_spec; torch = find_spec('torch'); print(*torch.submodule_search_locations)")
  execute_process(
    COMMAND "${python}" -c "${code}"
    WORKING_DIRECTORY "${CMAKE_CURRENT_BINARY_DIR}" # no folder there hides torch
    OUTPUT_VARIABLE folder
    OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  set(${result} "${folder}" PARENT_SCOPE)
endfunction()

# Sets a variable to the path of one of torch's libraries, or to nothing.
function(torchcrop_fast_torch_library result name)
  find_library(path ${name} PATHS "${TORCHCROP_FAST_TORCH_FOLDER}/lib" NO_DEFAULT_PATH NO_CACHE)
  if(NOT path)
    set(path "")
  endif()
  set(${result} "${path}" PARENT_SCOPE)
endfunction()

# Whoever links the target keeps these libraries, paths or expressions for one, though nothing may call them: linkers drop
# such libraries (--as-needed), and with them all ops that they register.
function(torchcrop_fast_keep target)
  list(JOIN ARGN "," libraries)
  set_property(
    TARGET ${target}
    APPEND
    PROPERTY INTERFACE_LINK_LIBRARIES "-Wl,--push-state,--no-as-needed,${libraries},--pop-state")
endfunction()

# Lets a target run at::parallel_for in parallel, which takes OpenMP, in torch's own threads: torch's wheels bring their
# libgomp, and a second one beside it would start threads of its own.
function(torchcrop_fast_use_openmp_of_torch target)
  file(GLOB bundled "${TORCHCROP_FAST_TORCH_FOLDER}/lib/libgomp*.so*")
  if(bundled AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    list(GET bundled 0 runtime)
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-fopenmp>)
    target_link_libraries(${target} PRIVATE $<BUILD_INTERFACE:${runtime}>)
  else()
    find_package(OpenMP REQUIRED COMPONENTS CXX)
    target_link_libraries(${target} PRIVATE $<BUILD_INTERFACE:OpenMP::OpenMP_CXX>)
  endif()
endfunction()

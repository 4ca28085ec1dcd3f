# Whether to build for GPUs, and with which CUDA toolkit.

# Sets a variable to nvcc: the one that the user names, that of CUDA_HOME, of PATH, or of the toolkit's usual folder.
function(torchcrop_fast_find_nvcc result)
  if(CMAKE_CUDA_COMPILER)
    set(${result} "${CMAKE_CUDA_COMPILER}" PARENT_SCOPE)
    return()
  elseif(DEFINED ENV{CUDACXX})
    set(${result} "$ENV{CUDACXX}" PARENT_SCOPE)
    return()
  endif()
  find_program(
    TORCHCROP_FAST_NVCC nvcc
    HINTS ENV CUDA_HOME ENV CUDA_PATH
    PATHS /usr/local/cuda
    PATH_SUFFIXES bin
    DOC "The compiler of the CUDA toolkit")
  set(${result} "${TORCHCROP_FAST_NVCC}" PARENT_SCOPE)
endfunction()

# Sets a variable to ON with FORCE_CUDA=1 in the environment; also where a GPU, nvcc and a torch for GPUs are there.
function(torchcrop_fast_cuda_default result)
  set(${result} OFF PARENT_SCOPE)
  if("$ENV{FORCE_CUDA}" STREQUAL "1")
    set(${result} ON PARENT_SCOPE)
    return()
  endif()
  find_program(TORCHCROP_FAST_NVIDIA_SMI nvidia-smi DOC "Lists the GPUs")
  mark_as_advanced(TORCHCROP_FAST_NVIDIA_SMI)
  if(NOT TORCHCROP_FAST_NVIDIA_SMI)
    return()
  endif()
  execute_process(COMMAND "${TORCHCROP_FAST_NVIDIA_SMI}" --list-gpus OUTPUT_VARIABLE gpus ERROR_QUIET)
  torchcrop_fast_find_nvcc(nvcc)
  set(torch_for_gpus ON)
  if(TORCHCROP_FAST_WITH_TORCH)
    torchcrop_fast_torch_library(torch_for_gpus c10_cuda)
  endif()
  if(gpus MATCHES "GPU 0" AND nvcc AND torch_for_gpus)
    set(${result} ON PARENT_SCOPE)
  endif()
endfunction()

# Turns the language CUDA on, and makes the target torchcrop_fast::c10_cuda where torch is used.
macro(torchcrop_fast_enable_cuda)
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES AND NOT DEFINED ENV{CUDAARCHS})
    set(CMAKE_CUDA_ARCHITECTURES 80-real 90) # 9.0 as code for later GPUs to translate, too
  endif()
  torchcrop_fast_find_nvcc(nvcc)
  if(NOT nvcc)
    message(FATAL_ERROR "TORCHCROP_FAST_CUDA needs nvcc, and there is none: set CMAKE_CUDA_COMPILER to its path.")
  endif()
  if(NOT CMAKE_CUDA_COMPILER)
    set(CMAKE_CUDA_COMPILER "${nvcc}")
  endif()
  enable_language(CUDA)
  if(TORCHCROP_FAST_WITH_TORCH)
    find_package(CUDAToolkit REQUIRED)
    torchcrop_fast_torch_library(c10_cuda c10_cuda)
    if(NOT c10_cuda)
      message(FATAL_ERROR "TORCHCROP_FAST_CUDA needs a torch for GPUs, and ${TORCHCROP_FAST_TORCH_FOLDER} is for CPUs.")
    endif()
    add_library(torchcrop_fast::c10_cuda INTERFACE IMPORTED)
    set_target_properties(torchcrop_fast::c10_cuda PROPERTIES INTERFACE_LINK_LIBRARIES "${c10_cuda};CUDA::cudart")
  endif()
endmacro()

# Libraries for drivers with CUDA's ABI: the sources and the table of native/nvidia under another vendor's file names.

# hami_find_cuda_headers(): the folders of cuda.h and nvml.h, which come from build requirements, in the caller's
# HAMI_CUDA_INCLUDE and HAMI_NVML_INCLUDE.
function(hami_find_cuda_headers)
  execute_process(
    COMMAND ${Python3_EXECUTABLE} "${CMAKE_SOURCE_DIR}/nvidia/gen/find_headers.py"
    OUTPUT_VARIABLE headers OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE status ERROR_VARIABLE problem)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${problem}")
  endif()
  list(GET headers 0 cuda)
  list(GET headers 1 nvml)
  set(HAMI_CUDA_INCLUDE "${cuda}" PARENT_SCOPE)
  set(HAMI_NVML_INCLUDE "${nvml}" PARENT_SCOPE)
endfunction()

# hami_add_cuda_library(VENDOR libraries.c): libhami_<vendor>.so, its generated table in the caller's
# HAMI_<VENDOR>_EXPORTS. The last argument says where the driver is, see nvidia/src/libraries.h.
function(hami_add_cuda_library vendor libraries)
  hami_find_cuda_headers()
  set(nvidia "${CMAKE_SOURCE_DIR}/nvidia")
  set(generated "${CMAKE_CURRENT_BINARY_DIR}/generated")
  set(exports "${generated}/exports.txt")
  file(GLOB generator CONFIGURE_DEPENDS "${nvidia}/gen/*.py" "${nvidia}/symbols/*.def")
  add_custom_command(
    OUTPUT "${generated}/hami_functions.h" "${generated}/hami_functions.c" "${generated}/exports.map" "${exports}"
    COMMAND ${Python3_EXECUTABLE} "${nvidia}/gen/generate.py" --compiler "${CMAKE_C_COMPILER}"
            --cuda-include "${HAMI_CUDA_INCLUDE}" --nvml-include "${HAMI_NVML_INCLUDE}"
            --symbols "${nvidia}/symbols" --out "${generated}"
    DEPENDS ${generator} "${HAMI_CUDA_INCLUDE}/cuda.h" "${HAMI_NVML_INCLUDE}/nvml.h"
    VERBATIM)
  add_custom_target(hami_${vendor}_generated DEPENDS "${generated}/hami_functions.h" "${generated}/exports.map")

  file(GLOB sources CONFIGURE_DEPENDS "${nvidia}/src/*.c")
  hami_add_preload(hami_${vendor}
    EXPORTS "${generated}/exports.map"
    SOURCES ${sources} "${libraries}" "${generated}/hami_functions.c" "${HAMI_INTERPOSE_EXPORTED}")
  add_dependencies(hami_${vendor} hami_${vendor}_generated)
  target_include_directories(hami_${vendor} PRIVATE "${nvidia}/src" "${generated}")
  target_include_directories(hami_${vendor} SYSTEM PRIVATE "${HAMI_CUDA_INCLUDE}" "${HAMI_NVML_INCLUDE}")
  string(TOUPPER "${vendor}" prefix)
  set(HAMI_${prefix}_EXPORTS "${exports}" PARENT_SCOPE)
endfunction()

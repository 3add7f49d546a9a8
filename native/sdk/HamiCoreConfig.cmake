# find_package(HamiCore): the core of HAMi's isolation libraries, and the functions that make a library of a table
# (hami_add_isolation_library), a driver's test double (hami_add_vendor_fake) and tests over it (hami_add_vendor_test).

if(CMAKE_VERSION VERSION_LESS 3.21)
  set(HamiCore_FOUND FALSE)
  set(HamiCore_NOT_FOUND_MESSAGE "HamiCore needs CMake 3.21 or later, this is ${CMAKE_VERSION}")
  return()
endif()

get_filename_component(HAMI_NATIVE_ROOT "${CMAKE_CURRENT_LIST_DIR}/../../hami/native" ABSOLUTE)
find_package(Python3 3.11 REQUIRED COMPONENTS Interpreter)
enable_language(C ASM)

option(HAMI_TESTS "Build the tests" OFF)
set(HAMI_LIBDIR "lib" CACHE STRING "Folder of the preload library below the install prefix")
set(HAMI_FAKE_LIBDIR "${HAMI_LIBDIR}/fake" CACHE STRING "Folder of the driver test doubles below the install prefix")
set(HAMI_FAKE_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/lib/fake")
set(HAMI_INTERPOSE_EXPORTED "${HAMI_NATIVE_ROOT}/interpose/symbol_lookup.S")

include("${HAMI_NATIVE_ROOT}/cmake/HamiTargets.cmake")
include("${HAMI_NATIVE_ROOT}/cmake/HamiVendor.cmake")

# hami_import(NAME INCLUDE folders ... LINK targets ...): an archive of this package.
function(hami_import target)
  cmake_parse_arguments(arg "" "" "INCLUDE;LINK" ${ARGN})
  if(NOT TARGET ${target})
    add_library(${target} STATIC IMPORTED GLOBAL)
    set_target_properties(${target} PROPERTIES
      IMPORTED_LOCATION "${HAMI_NATIVE_ROOT}/lib/lib${target}.a"
      INTERFACE_INCLUDE_DIRECTORIES "${HAMI_NATIVE_ROOT};${arg_INCLUDE}"
      INTERFACE_LINK_LIBRARIES "${arg_LINK}")
  endif()
endfunction()

hami_import(hami_core INCLUDE "${HAMI_NATIVE_ROOT}/core")
hami_import(hami_interpose INCLUDE "${HAMI_NATIVE_ROOT}/interpose" LINK hami_core)
hami_import(hami_fake_common INCLUDE "${HAMI_NATIVE_ROOT}/fake")
hami_import(hami_fake_card INCLUDE "${HAMI_NATIVE_ROOT}/fake/card" LINK hami_fake_common)

# What holds for every way to get memory (tests/interpose/paths.h), for a program of the vendor's tests to link; and the
# program that counts what a library adds to others.
if(HAMI_TESTS AND NOT TARGET hami_tests_paths)
  hami_add_static(hami_tests_paths "${HAMI_NATIVE_ROOT}/tests/interpose/paths.c")
  hami_add_program(interpose_syscalls "${HAMI_NATIVE_ROOT}/tests/interpose/syscalls.c")
endif()

# The kinds of target this tree has, each made by one function, so that flags are decided in one place.

set(HAMI_WARNINGS -Wall -Wextra -Werror -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wformat=2
    -Wundef -Wpointer-arith -Wwrite-strings)

# Flags that every C target of this tree is built with.
function(hami_set_flags target)
  set_target_properties(${target} PROPERTIES
    C_STANDARD 11 C_STANDARD_REQUIRED ON C_EXTENSIONS ON
    C_VISIBILITY_PRESET hidden POSITION_INDEPENDENT_CODE ON)
  target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:C>:${HAMI_WARNINGS}> -fno-common)
  # _FORTIFY_SOURCE would call functions that the oldest supported C library lacks.
  target_compile_definitions(${target} PRIVATE _GNU_SOURCE)
  target_include_directories(${target} PRIVATE "${HAMI_NATIVE_ROOT}")
  if(HAMI_FUZZ)
    target_compile_options(${target} PRIVATE -fsanitize=fuzzer-no-link)
  endif()
  if(HAMI_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${HAMI_SANITIZE} -fno-omit-frame-pointer
                           -fno-sanitize-recover=all)
    target_link_options(${target} PRIVATE -fsanitize=${HAMI_SANITIZE})
  else()
    target_link_options(${target} PRIVATE -Wl,-z,defs) # a missing function fails here, not in somebody's program
  endif()
endfunction()

# hami_add_static(NAME sources...): position-independent parts that a shared library or a test links whole.
function(hami_add_static target)
  add_library(${target} STATIC ${ARGN})
  hami_set_flags(${target})
endfunction()

# How a preload library is linked: exports only what the version script names, binds at load time,
# and stays: programs keep the addresses of wrappers, whoever closes a library that had opened this one. Its own table of
# wrappers needs no search by the loader, which every program that is started would pay for.
function(hami_link_preload target exports)
  target_link_options(${target} PRIVATE -Wl,--exclude-libs,ALL -Wl,-z,now -Wl,-z,nodelete -Wl,-z,relro -Wl,-z,noexecstack
                      -Wl,-Bsymbolic-functions -Wl,--as-needed "-Wl,--version-script=${exports}")
  set_property(TARGET ${target} APPEND PROPERTY LINK_DEPENDS "${exports}")
endfunction()

# hami_add_preload(NAME EXPORTS exports.map SOURCES ...): lib<NAME>.so, installed into the package's lib/. Needs nothing
# but the C library. For tests there is testing/lib<NAME>.so too: the same objects on the core with the stopping points of
# core/test_point.h, which tests/interpose/fate.c lets the environment steer.
function(hami_add_preload target)
  cmake_parse_arguments(arg "" "EXPORTS" "SOURCES" ${ARGN})
  add_library(${target} MODULE ${arg_SOURCES})
  hami_set_flags(${target})
  target_link_libraries(${target} PRIVATE hami_interpose)
  hami_link_preload(${target} "${arg_EXPORTS}")
  install(TARGETS ${target} LIBRARY DESTINATION "${HAMI_LIBDIR}")
  if(HAMI_TESTS AND TARGET hami_interpose_testing)
    set(objects "$<TARGET_OBJECTS:${target}>")
    if(TARGET hami_early_lookup) # comes as objects, which are not handed on
      list(APPEND objects "$<TARGET_OBJECTS:hami_early_lookup>")
    endif()
    add_library(${target}_testing MODULE ${objects} "${HAMI_NATIVE_ROOT}/tests/interpose/fate.c")
    hami_set_flags(${target}_testing)
    target_link_libraries(${target}_testing PRIVATE hami_interpose_testing)
    hami_link_preload(${target}_testing "${arg_EXPORTS}")
    set_target_properties(${target}_testing PROPERTIES
      OUTPUT_NAME ${target} LIBRARY_OUTPUT_DIRECTORY "${CMAKE_LIBRARY_OUTPUT_DIRECTORY}/testing")
  endif()
  if(HAMI_TESTS AND NOT HAMI_SANITIZE)
    add_test(NAME ${target}.needs_only_libc
      COMMAND ${Python3_EXECUTABLE} "${HAMI_NATIVE_ROOT}/cmake/check_library.py" "$<TARGET_FILE:${target}>")
    add_test(NAME ${target}.adds_only_its_loading COMMAND interpose_syscalls "$<TARGET_FILE:${target}>")
  endif()
endfunction()

# hami_add_fake(NAME FILE libcuda.so.1 SOURCES ... [EXPORTS map] [LINK ...]): a driver's test double under the driver's
# own file name, installed into the package's lib/fake/.
function(hami_add_fake target)
  cmake_parse_arguments(arg "" "FILE;EXPORTS" "SOURCES;LINK" ${ARGN})
  add_library(${target} SHARED ${arg_SOURCES})
  hami_set_flags(${target})
  target_link_libraries(${target} PRIVATE ${arg_LINK})
  string(REGEX MATCH "^lib(.*)(\\.so.*)$" matched "${arg_FILE}")
  set_target_properties(${target} PROPERTIES
    OUTPUT_NAME "${CMAKE_MATCH_1}" SUFFIX "${CMAKE_MATCH_2}" NO_SONAME ON
    LIBRARY_OUTPUT_DIRECTORY "${HAMI_FAKE_OUTPUT_DIRECTORY}")
  target_link_options(${target} PRIVATE "-Wl,-soname,${arg_FILE}")
  if(arg_EXPORTS)
    target_link_options(${target} PRIVATE "-Wl,--version-script=${arg_EXPORTS}")
    set_property(TARGET ${target} APPEND PROPERTY LINK_DEPENDS "${arg_EXPORTS}")
  endif()
  install(TARGETS ${target} LIBRARY DESTINATION "${HAMI_FAKE_LIBDIR}")
endfunction()

# hami_add_program(NAME sources... [LINK ...]): an executable used by tests, not a test itself.
function(hami_add_program target)
  cmake_parse_arguments(arg "" "" "LINK" ${ARGN})
  add_executable(${target} ${arg_UNPARSED_ARGUMENTS})
  hami_set_flags(${target})
  target_link_libraries(${target} PRIVATE ${arg_LINK} pthread)
endfunction()

# hami_add_test(NAME sources... [LINK ...]): an executable that CTest runs; exit status 0 is success, 77 a skip.
function(hami_add_test target)
  hami_add_program(${target} ${ARGN})
  add_test(NAME ${target} COMMAND ${target})
  set_tests_properties(${target} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 120)
endfunction()

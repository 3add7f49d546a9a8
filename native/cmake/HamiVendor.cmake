# hami_add_isolation_library(NAME API api.h TABLE table.def SOURCES src/descriptor.c ... [INCLUDE folders ...]):
# lib<NAME>.so, installed into the package's lib/: wrappers of the functions of a table, with the prototypes of api.h, and
# the vendor's own sources, one of which defines `hami_vendor` (interpose/vendor.h).
function(hami_add_isolation_library target)
  cmake_parse_arguments(arg "" "API;TABLE" "SOURCES;INCLUDE" ${ARGN})
  foreach(name API TABLE SOURCES)
    if(NOT arg_${name})
      message(FATAL_ERROR "hami_add_isolation_library(${target}): ${name} is missing; see docs/plugins/native.md")
    endif()
  endforeach()
  get_filename_component(api "${arg_API}" ABSOLUTE)
  get_filename_component(table "${arg_TABLE}" ABSOLUTE)
  get_filename_component(api_folder "${api}" DIRECTORY)
  set(generated "${CMAKE_CURRENT_BINARY_DIR}/generated/${target}")
  set(outputs hami_table.c hami_gates.S hami_table.h exports.map exports.txt)
  list(TRANSFORM outputs PREPEND "${generated}/")
  set(generator "${HAMI_NATIVE_ROOT}/interpose/gen/generate.py")
  add_custom_command(
    OUTPUT ${outputs}
    COMMAND ${Python3_EXECUTABLE} "${generator}" --api "${api}" --table "${table}" --out "${generated}"
    # The generator leaves an unchanged file alone.
    COMMAND ${CMAKE_COMMAND} -E touch ${outputs}
    DEPENDS "${generator}" "${api}" "${table}"
    VERBATIM)
  hami_add_preload(${target}
    EXPORTS "${generated}/exports.map"
    SOURCES ${arg_SOURCES} ${outputs} "${HAMI_INTERPOSE_EXPORTED}")
  target_include_directories(${target} PRIVATE "${api_folder}" ${arg_INCLUDE} "${generated}")
  if(HAMI_TESTS AND NOT HAMI_SANITIZE)
    add_test(NAME ${target}.exports_its_table
      COMMAND ${Python3_EXECUTABLE} "${HAMI_NATIVE_ROOT}/cmake/check_exports.py" "$<TARGET_FILE:${target}>"
              "${generated}/exports.txt")
  endif()
endfunction()

# hami_add_vendor(VENDOR): libhami_<vendor>.so of a vendor whose folder has api.h, table.def and src/*.c.
function(hami_add_vendor vendor)
  file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/src/*.c")
  hami_add_isolation_library(hami_${vendor} API api.h TABLE table.def SOURCES ${sources}
                             INCLUDE "${CMAKE_CURRENT_SOURCE_DIR}/src")
endfunction()

# hami_add_vendor_fake(VENDOR TARGET FILE libx.so SOURCES ... [EXPORTS map] [LINK ...]): a test double of one of a
# driver's libraries, in a folder of its own: doubles of several vendors have one file name. What it does stays inside
# it. LINK names hami_fake_card for a runtime, hami_fake_common for a management library.
function(hami_add_vendor_fake vendor target)
  cmake_parse_arguments(arg "" "FILE;EXPORTS" "SOURCES;LINK" ${ARGN})
  add_library(${target} SHARED ${arg_SOURCES})
  hami_set_flags(${target})
  target_link_libraries(${target} PRIVATE ${arg_LINK} pthread)
  target_include_directories(${target} PRIVATE "${HAMI_NATIVE_ROOT}/${vendor}")
  string(REGEX MATCH "^lib(.*)(\\.so.*)$" matched "${arg_FILE}")
  set_target_properties(${target} PROPERTIES
    OUTPUT_NAME "${CMAKE_MATCH_1}" SUFFIX "${CMAKE_MATCH_2}" NO_SONAME ON INSTALL_RPATH "$ORIGIN"
    LIBRARY_OUTPUT_DIRECTORY "${HAMI_FAKE_OUTPUT_DIRECTORY}/${vendor}")
  # The test control comes from the archives by its names.
  target_link_options(${target} PRIVATE "-Wl,-soname,${arg_FILE}" -Wl,-z,now -Wl,-u,hami_fake_busy_ns)
  if("hami_fake_card" IN_LIST arg_LINK)
    target_link_options(${target} PRIVATE -Wl,-u,fake_used_bytes)
  endif()
  if(arg_EXPORTS)
    target_link_options(${target} PRIVATE "-Wl,--version-script=${arg_EXPORTS}")
    set_property(TARGET ${target} APPEND PROPERTY LINK_DEPENDS "${arg_EXPORTS}")
  endif()
  install(TARGETS ${target} LIBRARY DESTINATION "${HAMI_FAKE_LIBDIR}/${vendor}")
endfunction()

# hami_add_vendor_test(VENDOR NAME [TESTING] PROGRAM target [ARGS ...] [RUN options of tests/interpose/run.py ...]).
# TESTING: with the library that has the stopping points.
function(hami_add_vendor_test vendor name)
  cmake_parse_arguments(arg "TESTING" "PROGRAM" "ARGS;RUN" ${ARGN})
  set(library hami_${vendor})
  if(arg_TESTING)
    set(library hami_${vendor}_testing)
    add_dependencies(${arg_PROGRAM} ${library})
  endif()
  add_test(NAME ${vendor}.${name}
    COMMAND ${Python3_EXECUTABLE} "${HAMI_NATIVE_ROOT}/tests/interpose/run.py" --emulator "${HAMI_EMULATOR}"
            --library "$<TARGET_FILE:${library}>" --fakes "${HAMI_FAKE_OUTPUT_DIRECTORY}/${vendor}" ${arg_RUN}
            -- "$<TARGET_FILE:${arg_PROGRAM}>" ${arg_ARGS})
  set_tests_properties(${vendor}.${name} PROPERTIES TIMEOUT 120)
endfunction()

# hami_add_vendor_schedules(VENDOR PROGRAM target MACHINE file): random schedules, see tests/interpose/schedules.h.
function(hami_add_vendor_schedules vendor)
  cmake_parse_arguments(arg "" "PROGRAM;MACHINE" "" ${ARGN})
  set(schedules 200)
  if(HAMI_SANITIZE)
    set(schedules 70)
  endif()
  hami_add_vendor_test(${vendor} schedules TESTING PROGRAM ${arg_PROGRAM} ARGS ${schedules} 1
                       RUN --memory-mib 1000 --machine "${arg_MACHINE}")
  set_tests_properties(${vendor}.schedules PROPERTIES TIMEOUT 600)
endfunction()

# hami_add_lookup_test(VENDOR NAME file wrapped other version): see tests/interpose/test_lookup.c.
function(hami_add_lookup_test vendor name)
  hami_add_vendor_test(${vendor} ${name} PROGRAM interpose_test_lookup ARGS ${ARGN} RUN --memory-mib 1000)
endfunction()

# hami_add_vendor_pacing_tests(VENDOR PROGRAM target MACHINE file): how near the share of device time comes, by PROGRAM
# (tests/interpose/pacing.h) on the first card of a machine. Bounds are wide: the machine runs other things, and a launch
# that comes late is time lost. `make bench` measures for NVIDIA.
function(hami_add_vendor_pacing_tests vendor)
  cmake_parse_arguments(arg "" "PROGRAM;MACHINE" "" ${ARGN})
  # name, nanoseconds, processes, manner, least, most, limit
  set(rows short_10=50000=1=async=3=13=10 long_50=20000000=1=sync=25=57=50 short_50=200000=1=sync=12=57=50
      shared_10=1000000=4=async=4=14=10)
  foreach(row IN LISTS rows)
    string(REPLACE "=" ";" row ${row})
    list(GET row 0 name)
    list(GET row 6 limit)
    list(SUBLIST row 1 3 load)
    list(SUBLIST row 4 2 bounds)
    if(HAMI_SANITIZE)
      list(GET bounds 1 most)
      set(bounds 0 ${most}) # slow enough to leave any share unused
    endif()
    hami_add_vendor_test(${vendor} pacing.${name} PROGRAM ${arg_PROGRAM} ARGS ${load} 0.8 ${bounds}
                         RUN --machine "${arg_MACHINE}" --core-percent ${limit})
    set_tests_properties(${vendor}.pacing.${name} PROPERTIES RUN_SERIAL ON)
  endforeach()
endfunction()

# hami_add_vendor_launch_tests(VENDOR PROGRAM target): every way to launch, by PROGRAM (tests/interpose/launches.h), in a
# share of device time and without a limit on it.
function(hami_add_vendor_launch_tests vendor)
  cmake_parse_arguments(arg "" "PROGRAM" "" ${ARGN})
  hami_add_vendor_test(${vendor} launches PROGRAM ${arg_PROGRAM} RUN --core-percent 90)
  hami_add_vendor_test(${vendor} launches.unlimited PROGRAM ${arg_PROGRAM} RUN --memory-mib 1000)
endfunction()

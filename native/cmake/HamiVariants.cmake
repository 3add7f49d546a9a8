# The ways in which a driver may be built and reached, one test of a vendor's paths for each. The doubles' objects are linked
# again, and the test's program for each of them.

# hami_add_fake_variants(VENDOR TARGETS doubles...): lib/variants/<vendor>/<variant>/ with the doubles once more:
#   plain      symbols without versions; the driver's own calls of its exports can be intercepted
#   versioned  every symbol has a version
#   symbolic   the driver's own calls stay inside
function(hami_add_fake_variants vendor)
  cmake_parse_arguments(arg "" "" "TARGETS" ${ARGN})
  set(script "${HAMI_NATIVE_ROOT}/cmake/versioned.map")
  set(options_plain "")
  set(options_versioned "-Wl,--version-script=${script}")
  set(options_symbolic -Wl,-Bsymbolic)
  foreach(variant plain versioned symbolic)
    foreach(target IN LISTS arg_TARGETS)
      set(variant_target ${target}_${variant})
      add_library(${variant_target} SHARED "$<TARGET_OBJECTS:${target}>")
      hami_set_flags(${variant_target})
      get_target_property(name ${target} OUTPUT_NAME)
      get_target_property(suffix ${target} SUFFIX)
      set_target_properties(${variant_target} PROPERTIES
        OUTPUT_NAME "${name}" SUFFIX "${suffix}" NO_SONAME ON LINKER_LANGUAGE C
        LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/lib/variants/${vendor}/${variant}")
      get_target_property(linked ${target} LINK_LIBRARIES)
      foreach(library IN LISTS linked)
        if(library IN_LIST arg_TARGETS)
          set(library ${library}_${variant})
        endif()
        target_link_libraries(${variant_target} PRIVATE ${library})
      endforeach()
      target_link_options(${variant_target} PRIVATE "-Wl,-soname,lib${name}${suffix}" -Wl,-z,now
                          -Wl,-u,hami_fake_busy_ns ${options_${variant}})
      if("hami_fake_card" IN_LIST linked)
        target_link_options(${variant_target} PRIVATE -Wl,-u,fake_used_bytes)
      endif()
      set_property(TARGET ${variant_target} APPEND PROPERTY LINK_DEPENDS "${script}")
    endforeach()
  endforeach()
endfunction()

# hami_add_variant_tests(VENDOR PATHS test_paths.c TARGETS doubles... [RUN options of run.py ...]): the same paths over
# each variant, linked with it; and `imported`, where a plugin brings test and driver in with RTLD_LOCAL.
function(hami_add_variant_tests vendor)
  cmake_parse_arguments(arg "" "PATHS" "TARGETS;RUN" ${ARGN})
  hami_add_fake_variants(${vendor} TARGETS ${arg_TARGETS})
  set(includes "$<TARGET_PROPERTY:${vendor}_test_paths,INCLUDE_DIRECTORIES>")
  foreach(variant plain versioned symbolic)
    set(program ${vendor}_test_paths_${variant})
    list(TRANSFORM arg_TARGETS APPEND _${variant} OUTPUT_VARIABLE doubles)
    add_executable(${program} "$<TARGET_OBJECTS:${vendor}_test_paths>")
    hami_set_flags(${program})
    set_target_properties(${program} PROPERTIES LINKER_LANGUAGE C)
    target_link_libraries(${program} PRIVATE hami_tests_paths ${doubles} dl pthread)
    hami_add_vendor_test(${vendor} variant.${variant} PROGRAM ${program} RUN --memory-mib 1000 ${arg_RUN}
                         --fakes "${CMAKE_BINARY_DIR}/lib/variants/${vendor}/${variant}")
  endforeach()
  add_library(${vendor}_test_paths_plugin MODULE "${arg_PATHS}")
  hami_set_flags(${vendor}_test_paths_plugin)
  set_target_properties(${vendor}_test_paths_plugin PROPERTIES C_VISIBILITY_PRESET default PREFIX "")
  target_include_directories(${vendor}_test_paths_plugin PRIVATE "${includes}")
  target_link_libraries(${vendor}_test_paths_plugin PRIVATE hami_tests_paths ${arg_TARGETS} dl pthread)
  # The search for leaks does not survive libraries that come late with thread-local data; the other variants have it.
  set(options "")
  if(HAMI_SANITIZE)
    set(options --env ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0)
  endif()
  hami_add_vendor_test(${vendor} variant.imported PROGRAM interpose_import
                       ARGS "$<TARGET_FILE:${vendor}_test_paths_plugin>"
                       RUN --memory-mib 1000 ${arg_RUN} ${options})
endfunction()

# hami_add_by_lookup_tests(VENDOR PATHS test_paths.c FILES prefix=library ... [TABLE call] [DECLARE prototype ...]): the
# same paths in a program that links no driver: every function comes from dlsym by a handle, and with TABLE from the
# vendor's own lookup where that knows it. See tests/interpose/by_lookup.py.
function(hami_add_by_lookup_tests vendor)
  cmake_parse_arguments(arg "" "PATHS;TABLE" "FILES;DECLARE" ${ARGN})
  set(script "${HAMI_NATIVE_ROOT}/tests/interpose/by_lookup.py")
  set(stubs "${CMAKE_CURRENT_BINARY_DIR}/${vendor}_by_lookup.c")
  set(api "${HAMI_NATIVE_ROOT}/${vendor}/api.h")
  set(declared "")
  foreach(prototype IN LISTS arg_DECLARE)
    list(APPEND declared --declare "${prototype}")
  endforeach()
  add_custom_command(
    OUTPUT "${stubs}"
    COMMAND ${CMAKE_COMMAND} -E env "PYTHONPATH=${HAMI_NATIVE_ROOT}/interpose/gen" ${Python3_EXECUTABLE} "${script}"
            --api "${api}" --include "${vendor}/api.h" --table "${arg_TABLE}" ${declared} --out "${stubs}" ${arg_FILES}
    DEPENDS "${script}" "${api}" "${HAMI_NATIVE_ROOT}/interpose/gen/generate.py"
    VERBATIM)
  hami_add_program(${vendor}_test_paths_by_lookup "${arg_PATHS}" "${stubs}" LINK hami_tests_paths dl)
  hami_add_vendor_test(${vendor} variant.by_handle PROGRAM ${vendor}_test_paths_by_lookup RUN --memory-mib 1000)
  if(arg_TABLE)
    hami_add_vendor_test(${vendor} variant.by_table PROGRAM ${vendor}_test_paths_by_lookup
                         RUN --memory-mib 1000 --env HAMI_TEST_BY_TABLE=1)
  endif()
endfunction()

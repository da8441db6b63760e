# umbel_module(NAME [LINK libs...]): core/NAME/*.c but main.c becomes the static library umbel_NAME.
# What a module may include is checked by tools/check/layers; here is only what it links.
function(umbel_module name)
  cmake_parse_arguments(ARG "" "" "LINK" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${name}/*.c)
  list(FILTER sources EXCLUDE REGEX "/main\\.c$")
  if(NOT sources)
    add_library(umbel_${name} INTERFACE)
    target_link_libraries(umbel_${name} INTERFACE ${ARG_LINK})
  else()
    add_library(umbel_${name} STATIC ${sources})
    target_link_libraries(umbel_${name} PUBLIC ${ARG_LINK})
  endif()
endfunction()

# umbel_plugin(NAME [LINK libs...]): plugins/NAME/*.c becomes lib/umbel/plugins/NAME.so
function(umbel_plugin name)
  cmake_parse_arguments(ARG "" "" "LINK" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${name}/*.c)
  if(NOT sources)
    return()
  endif()
  add_library(plugin_${name} MODULE ${sources})
  target_link_libraries(plugin_${name} PRIVATE ${ARG_LINK})
  set_target_properties(plugin_${name} PROPERTIES PREFIX "" OUTPUT_NAME ${name}
    LIBRARY_OUTPUT_DIRECTORY ${UMBEL_PLUGIN_OUTPUT_DIRECTORY}
    BUILD_RPATH "\$ORIGIN/../.." BUILD_RPATH_USE_ORIGIN ON INSTALL_RPATH "\$ORIGIN/../..")
  install(TARGETS plugin_${name} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/umbel/plugins)
endfunction()

# umbel_test(NAME SOURCE.c [LINK libs...]): a cmocka binary that speaks TAP, run by ctest as NAME
function(umbel_test name source)
  cmake_parse_arguments(ARG "" "TIMEOUT" "LINK;LABELS" ${ARGN})
  add_executable(${name} ${source})
  target_link_libraries(${name} PRIVATE ${ARG_LINK} PkgConfig::CMOCKA Threads::Threads)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_test(NAME ${name} COMMAND ${name})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  set_tests_properties(${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT} SKIP_RETURN_CODE 77
    LABELS "unit;${ARG_LABELS}" ENVIRONMENT "CMOCKA_MESSAGE_OUTPUT=TAP")
endfunction()

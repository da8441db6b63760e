# What plugin authors build against, after `cmake --install`: the libraries with their exported targets, find_package(umbel), pkg-config files.
# Included by core/CMakeLists.txt, where shared_libraries has all that plugins link.
include(CMakePackageConfigHelpers)

# ---- find_package(umbel): umbel::plugin, umbel::ws, ... ----
set_target_properties(umbel_plugin_support PROPERTIES EXPORT_NAME plugin)
set(carriers)
foreach(target IN LISTS shared_libraries)
  if(NOT target STREQUAL umbel_plugin_support)
    get_target_property(output ${target} OUTPUT_NAME)
    string(REPLACE "umbel-" "" carrier ${output})
    list(APPEND carriers ${carrier})
    set_target_properties(${target} PROPERTIES EXPORT_NAME ${carrier})
  endif()
endforeach()
set(umbel_cmake_dir ${CMAKE_INSTALL_LIBDIR}/cmake/umbel)
install(TARGETS ${shared_libraries} EXPORT umbelTargets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} NAMELINK_COMPONENT umbel-dev
  INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT umbelTargets NAMESPACE umbel:: DESTINATION ${umbel_cmake_dir} COMPONENT umbel-dev)
set(umbel_plugin_dir ${CMAKE_INSTALL_LIBDIR}/umbel/plugins)
set(umbel_library_dir ${CMAKE_INSTALL_LIBDIR})
set(umbel_plugin_check ${CMAKE_INSTALL_BINDIR}/umbel-plugin-check)
configure_package_config_file(${CMAKE_SOURCE_DIR}/core/cmake/umbelConfig.cmake.in ${CMAKE_CURRENT_BINARY_DIR}/umbelConfig.cmake
  INSTALL_DESTINATION ${umbel_cmake_dir} PATH_VARS umbel_plugin_dir umbel_library_dir umbel_plugin_check)
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/umbelConfigVersion.cmake COMPATIBILITY SameMajorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/umbelConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/umbelConfigVersion.cmake
  DESTINATION ${umbel_cmake_dir} COMPONENT umbel-dev)

# ---- pkg-config: umbel, and umbel-CARRIER for each ----
function(umbel_pkg_config pc_suffix pc_description pc_requires)
  # from LIBDIR/pkgconfig up to the prefix
  file(RELATIVE_PATH pc_up ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
  string(REGEX REPLACE "/$" "" pc_up ${pc_up})
  set(file ${CMAKE_CURRENT_BINARY_DIR}/umbel${pc_suffix}.pc)
  configure_file(${CMAKE_SOURCE_DIR}/core/cmake/umbel.pc.in ${file} @ONLY)
  install(FILES ${file} DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT umbel-dev)
endfunction()
umbel_pkg_config("" "headers and libumbel for transport plugins of umbel" "")
foreach(carrier IN LISTS carriers)
  umbel_pkg_config(-${carrier} "the ${carrier} carrier for transport plugins of umbel" "Requires: umbel")
endforeach()

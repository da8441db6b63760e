# Two .deb packages, by `cpack` in a build configured with -DCMAKE_INSTALL_PREFIX=/usr (tools/package does both):
#   umbel      programs, plugins, carriers, manual, unit, configuration       component umbel, which is what no install() names otherwise
#   umbel-dev  what plugins are built with                                    component umbel-dev
set(etc ${CMAKE_SOURCE_DIR}/etc)

file(GLOB transport_files ${etc}/transport.d/*.conf)
install(FILES ${etc}/umbel.conf DESTINATION ${CMAKE_INSTALL_FULL_SYSCONFDIR}/umbel)
install(FILES ${transport_files} DESTINATION ${CMAKE_INSTALL_FULL_SYSCONFDIR}/umbel/transport.d)
install(FILES ${etc}/logrotate/umbel DESTINATION ${CMAKE_INSTALL_FULL_SYSCONFDIR}/logrotate.d)
install(FILES ${etc}/umbel.service DESTINATION lib/systemd/system)
install(FILES ${etc}/umbel.socket DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples)
install(DIRECTORY ${etc}/grafana ${etc}/prometheus DESTINATION ${CMAKE_INSTALL_DATADIR}/umbel)
install(FILES ${CMAKE_SOURCE_DIR}/README.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES ${CMAKE_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME copyright)
install(FILES ${CMAKE_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/umbel-dev RENAME copyright COMPONENT umbel-dev)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/docs FILES_MATCHING PATTERN "*.md")

# Completion, made by the program itself.
set(completion ${CMAKE_BINARY_DIR}/completion)
add_custom_command(OUTPUT ${completion}/umbelctl ${completion}/_umbelctl
  COMMAND ${CMAKE_COMMAND} -E make_directory ${completion}
  COMMAND umbelctl completion bash > ${completion}/umbelctl
  COMMAND umbelctl completion zsh > ${completion}/_umbelctl
  DEPENDS umbelctl VERBATIM)
add_custom_target(completion ALL DEPENDS ${completion}/umbelctl)
install(FILES ${completion}/umbelctl DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES ${completion}/_umbelctl DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions)

# Debian's own changelog: what changed stands in CHANGELOG.md.
set(UMBEL_MAINTAINER "umbel maintainers <umbel@localhost.localdomain>" CACHE STRING "Maintainer of the packages")
set(changelog ${CMAKE_BINARY_DIR}/debian)
file(WRITE ${changelog}/changelog "umbel (${PROJECT_VERSION}) bookworm; urgency=medium\n\n  * Built from the sources of this version; see CHANGELOG.md there.\n\n -- ${UMBEL_MAINTAINER}  Fri, 20 Nov 2026 00:00:00 +0000\n")
add_custom_command(OUTPUT ${changelog}/changelog.gz COMMAND gzip -9nc ${changelog}/changelog > ${changelog}/changelog.gz
  DEPENDS ${changelog}/changelog VERBATIM)
add_custom_target(changelog ALL DEPENDS ${changelog}/changelog.gz)
install(FILES ${changelog}/changelog.gz DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES ${changelog}/changelog.gz DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/umbel-dev COMPONENT umbel-dev)

# What dpkg asks about before it replaces it.
set(conffiles /etc/umbel/umbel.conf /etc/logrotate.d/umbel)
foreach(file IN LISTS transport_files)
  get_filename_component(name ${file} NAME)
  list(APPEND conffiles /etc/umbel/transport.d/${name})
endforeach()
list(JOIN conffiles "\n" conffiles)
file(WRITE ${CMAKE_BINARY_DIR}/debian/conffiles "${conffiles}\n")
file(WRITE ${CMAKE_BINARY_DIR}/debian/triggers "activate-noawait ldconfig\n")
foreach(script IN ITEMS postinst prerm postrm)
  configure_file(${etc}/debian/umbel.${script} ${CMAKE_BINARY_DIR}/debian/${script} COPYONLY)
  list(APPEND scripts ${CMAKE_BINARY_DIR}/debian/${script})
endforeach()

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME umbel)
set(CPACK_PACKAGE_CONTACT "${UMBEL_MAINTAINER}")
set(CPACK_DEBIAN_PACKAGE_MAINTAINER "${UMBEL_MAINTAINER}")
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_STRIP_FILES ON)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_ALL umbel umbel-dev)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${CMAKE_BINARY_DIR}/lib)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)

set(CPACK_DEBIAN_UMBEL_PACKAGE_NAME umbel)
set(CPACK_COMPONENT_UMBEL_DESCRIPTION "one answer of a language model, live, over many client protocols
 umbeld calls a language model once and fans that one answer out to clients
 of several protocols: WebSocket, chunked HTTP, server-sent events, the
 OpenAI API, Tencent IM.  Each protocol is a plugin in a process of its own.")
# libwebsockets finds its libuv glue by dlopen, where dpkg-shlibdeps cannot see it
set(CPACK_DEBIAN_UMBEL_PACKAGE_DEPENDS "adduser, libwebsockets-evlib-uv, init-system-helpers (>= 1.54~)")
set(CPACK_DEBIAN_UMBEL_PACKAGE_RECOMMENDS "ca-certificates")
set(CPACK_DEBIAN_UMBEL_PACKAGE_SUGGESTS "logrotate")
set(CPACK_DEBIAN_UMBEL_PACKAGE_CONTROL_EXTRA "${scripts};${CMAKE_BINARY_DIR}/debian/conffiles;${CMAKE_BINARY_DIR}/debian/triggers")

set(CPACK_DEBIAN_UMBEL-DEV_PACKAGE_NAME umbel-dev)
set(CPACK_DEBIAN_UMBEL-DEV_PACKAGE_SECTION libdevel)
set(CPACK_COMPONENT_UMBEL-DEV_DESCRIPTION "build transport plugins for umbel
 Headers, libraries to link and the tool that checks a plugin against what
 hosts expect of it.")
set(CPACK_DEBIAN_UMBEL-DEV_PACKAGE_DEPENDS "umbel (= ${PROJECT_VERSION})")
include(CPack)

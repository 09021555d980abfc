# Components: library, development, programs, overseer, python; notices are what every copy comes with and packages have
# in a form of their own.
include(CMakePackageConfigHelpers)
set(FIRECLAW_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/fireclaw)

install(TARGETS fireclaw EXPORT fireclawTargets
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library NAMELINK_COMPONENT development
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development
        FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development)
install(EXPORT fireclawTargets NAMESPACE fireclaw:: DESTINATION ${FIRECLAW_CMAKE_DIR} COMPONENT development)

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/fireclawConfig.cmake.in fireclawConfig.cmake
                              INSTALL_DESTINATION ${FIRECLAW_CMAKE_DIR} NO_SET_AND_CHECK_MACRO)
# Before 1.0 a minor version may change the interface.
write_basic_package_version_file(fireclawConfigVersion.cmake VERSION ${PROJECT_VERSION}
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/fireclawConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/fireclawConfigVersion.cmake
        DESTINATION ${FIRECLAW_CMAKE_DIR} COMPONENT development)

# pkg-config: paths are relative to the file, so that an installed tree may be moved. The system's own is not, and
# pkg-config leaves out folders that are searched anyway only where it recognises them.
if(CMAKE_INSTALL_PREFIX STREQUAL /usr)
  set(FIRECLAW_PC_PREFIX /usr)
else()
  file(RELATIVE_PATH FIRECLAW_PC_PREFIX ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
  string(REGEX REPLACE "/$" "" FIRECLAW_PC_PREFIX ${FIRECLAW_PC_PREFIX})
  string(PREPEND FIRECLAW_PC_PREFIX "\${pcfiledir}/")
endif()
if(NOT BUILD_SHARED_LIBS)
  # What `pkg-config --static` adds. A shared library names what it needs itself, and nobody needs the headers of that.
  set(FIRECLAW_PC_REQUIRES "fmt simdjson nettle libnl-route-3.0")
  set(FIRECLAW_PC_LIBS ${CMAKE_DL_LIBS} ${CMAKE_THREAD_LIBS_INIT})
  list(TRANSFORM FIRECLAW_PC_LIBS REPLACE "^([^-].*)" "-l\\1")
  list(JOIN FIRECLAW_PC_LIBS " " FIRECLAW_PC_LIBS)
  set(FIRECLAW_PC_CFLAGS " -DFIRECLAW_STATIC")
endif()
configure_file(${PROJECT_SOURCE_DIR}/cmake/fireclaw.pc.in fireclaw.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/fireclaw.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig
        COMPONENT development)

if(TARGET fireclaw_cli)
  install(TARGETS fireclaw_cli fireclaw_mcp RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT programs)
  install(TARGETS fireclaw_overseer RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT overseer)
endif()
if(TARGET fireclaw_gateway_program)
  install(TARGETS fireclaw_gateway_program RUNTIME DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/fireclaw COMPONENT programs)
endif()
if(TARGET guestd)
  install(TARGETS guestd RUNTIME DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/fireclaw COMPONENT programs)
endif()
install(TARGETS fireclaw_netd RUNTIME DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/fireclaw COMPONENT programs)
install(DIRECTORY agent/bot agent/root DESTINATION ${CMAKE_INSTALL_DATADIR}/fireclaw/agent COMPONENT programs
        USE_SOURCE_PERMISSIONS PATTERN __pycache__ EXCLUDE)
install(FILES README.md ARCHITECTURE.md SECURITY.md DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT programs)
install(DIRECTORY docs DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT programs PATTERN "*.cast" EXCLUDE)
install(FILES LICENSE CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT notices)

# Debian packages, by CPack: one for each component, in packages/ of the build folder. The preset "debian" sets
# FIRECLAW_PACKAGES; its prefix is /usr, where the loader finds the library without a run path.
set(FIRECLAW_PACKAGE_CONTACT "fireclaw <fireclaw@packages.invalid>"
    CACHE STRING "Who answers for the packages, as NAME <ADDRESS>: the Maintainer field")
set(FIRECLAW_PACKAGE_REVISION 1 CACHE STRING "Revision of the packages of one version")
if(NOT BUILD_SHARED_LIBS OR NOT FIRECLAW_PYTHON_MODULE)
  message(FATAL_ERROR "the packages are of the shared library, and one is the Python module's: install pybind11-dev and "
                      "python3-dev, and set BUILD_SHARED_LIBS and FIRECLAW_PYTHON_MODULE")
endif()
foreach(program dpkg-shlibdeps file gzip)
  find_program(FIRECLAW_${program} ${program})
  if(NOT FIRECLAW_${program})
    message(FATAL_ERROR "the packages need the program '${program}'; install it with: apt-get install dpkg-dev file gzip")
  endif()
endforeach()

set(package_version ${PROJECT_VERSION}-${FIRECLAW_PACKAGE_REVISION})
set(package_library libfireclaw${FIRECLAW_ABI})
# CMake takes it from SOURCE_DATE_EPOCH where that is set.
string(TIMESTAMP package_date "%a, %d %b %Y %H:%M:%S +0000" UTC)
set(same_version "(= ${package_version})")
execute_process(COMMAND dpkg --print-architecture OUTPUT_VARIABLE architecture OUTPUT_STRIP_TRAILING_WHITESPACE
                COMMAND_ERROR_IS_FATAL ANY)
if(architecture STREQUAL arm64)
  set(qemu qemu-system-arm)
else()
  set(qemu qemu-system-x86)
endif()

math(EXPR next_python "${Python3_VERSION_MINOR} + 1")

set(CPACK_GENERATOR DEB)
set(CPACK_VERBATIM_VARIABLES ON)
set(CPACK_PACKAGE_NAME fireclaw)
set(CPACK_PACKAGE_VENDOR fireclaw)
# Each package has a summary of its own.
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "")
set(CPACK_PACKAGE_DIRECTORY ${PROJECT_BINARY_DIR}/packages)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE
                                                WORLD_READ WORLD_EXECUTE)
set(CPACK_COMPONENTS_ALL library development programs overseer python)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_DEBIAN_PACKAGE_SOURCE fireclaw)
set(CPACK_DEBIAN_PACKAGE_MAINTAINER "${FIRECLAW_PACKAGE_CONTACT}")
set(CPACK_DEBIAN_PACKAGE_RELEASE ${FIRECLAW_PACKAGE_REVISION})
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
# Our own library is known to no package yet, so what depends on it says so below.
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${PROJECT_BINARY_DIR}/lib)

# fireclaw_package(<component> NAME package SECTION section SUMMARY line [DEPENDS ...] [RECOMMENDS ...] [SUGGESTS ...]
#                  [CONTROL file...] TEXT ...)
# How a component becomes a package. TEXT is the description's body.
macro(fireclaw_package component)
  cmake_parse_arguments(ARG "" "NAME;SECTION;SUMMARY;TEXT" "DEPENDS;RECOMMENDS;SUGGESTS;CONTROL" ${ARGN})
  string(TOUPPER ${component} upper)
  set(CPACK_DEBIAN_${upper}_PACKAGE_NAME ${ARG_NAME})
  set(CPACK_DEBIAN_${upper}_PACKAGE_SECTION ${ARG_SECTION})
  set(CPACK_DEBIAN_${upper}_DESCRIPTION "${ARG_SUMMARY}\n${about}\n${ARG_TEXT}")
  foreach(relation DEPENDS RECOMMENDS SUGGESTS)
    list(JOIN ARG_${relation} ", " CPACK_DEBIAN_${upper}_PACKAGE_${relation})
  endforeach()
  set(CPACK_DEBIAN_${upper}_PACKAGE_CONTROL_EXTRA ${ARG_CONTROL})

  # What every Debian package says of itself.
  set(docs ${PROJECT_BINARY_DIR}/debian/${ARG_NAME})
  configure_file(cmake/debian/copyright ${docs}/copyright COPYONLY)
  configure_file(cmake/debian/changelog.in ${docs}/changelog.Debian)
  configure_file(CHANGELOG.md ${docs}/changelog COPYONLY)
  foreach(log changelog changelog.Debian)
    execute_process(COMMAND gzip -9nc ${docs}/${log} OUTPUT_FILE ${docs}/${log}.gz COMMAND_ERROR_IS_FATAL ANY)
  endforeach()
  install(FILES ${docs}/copyright ${docs}/changelog.gz ${docs}/changelog.Debian.gz
          DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/doc/${ARG_NAME} COMPONENT ${component})
  if(EXISTS ${PROJECT_SOURCE_DIR}/cmake/debian/${component}.lintian-overrides)
    install(FILES cmake/debian/${component}.lintian-overrides
            DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/lintian/overrides RENAME ${ARG_NAME} COMPONENT ${component})
  endif()
endmacro()

set(about [[
fireclaw runs commands and long-lived AI agents in microVMs: each in a machine
of its own, with its own kernel, restored from a snapshot in a fraction of a
second. Its engines are Firecracker on KVM, and QEMU on every other machine.
]])

# What depends on the library asks for the version it was built with, or a later one.
file(WRITE ${PROJECT_BINARY_DIR}/debian/shlibs
     "libfireclaw ${FIRECLAW_ABI} ${package_library} (>= ${PROJECT_VERSION})\n")
fireclaw_package(
  library
  NAME ${package_library}
  SECTION libs
  SUMMARY "commands and agents in microVMs - shared library"
  # The libraries are loaded when first used: for names, downloads, firewall, SSH.
  RECOMMENDS "fireclaw ${same_version}" libc-ares2 libcurl4 libnftables1 libssh2-1
  # CPack writes scripts that call ldconfig unless it is given others, and warns if those do not exist. They need not:
  # the trigger has dpkg call it.
  CONTROL ${PROJECT_BINARY_DIR}/debian/shlibs ${PROJECT_SOURCE_DIR}/cmake/debian/triggers no/postinst no/postrm
  TEXT [[
This package has the library. What goes into machines, and the command line
that prepares a host for them, are in package fireclaw.
]])
fireclaw_package(
  development
  NAME libfireclaw-dev
  SECTION libdevel
  SUMMARY "commands and agents in microVMs - development files"
  DEPENDS "${package_library} ${same_version}"
  SUGGESTS cmake pkgconf
  TEXT [[
This package has the headers of the C++ library, and what CMake and pkg-config
need to find it.
]])
fireclaw_package(
  programs
  NAME fireclaw
  SECTION admin
  SUMMARY "commands and agents in microVMs - command line"
  DEPENDS "${package_library} ${same_version}" e2fsprogs openssh-client squashfs-tools
  # Firecracker does without QEMU, and every image but the built-in one without a static busybox, which takes the place
  # of the usual one.
  RECOMMENDS ${qemu} busybox-static ca-certificates passt slirp4netns
  SUGGESTS fireclaw-overseer mmdebstrap skopeo uidmap umoci
  CONTROL ${PROJECT_SOURCE_DIR}/cmake/debian/programs/prerm ${PROJECT_SOURCE_DIR}/cmake/debian/programs/postinst
  TEXT [[
This package has the command line, and what goes into machines: the program
that is process 1 of each, and the agents' bot.
]])
fireclaw_package(
  overseer
  NAME fireclaw-overseer
  SECTION net
  SUMMARY "commands and agents in microVMs - crew of agents on IRC"
  DEPENDS "fireclaw ${same_version}" "${package_library} ${same_version}"
  RECOMMENDS mmdebstrap "inspircd | ngircd | ircd" uidmap
  CONTROL ${PROJECT_SOURCE_DIR}/cmake/debian/overseer/prerm
  TEXT [[
This package has the overseer: it starts and looks after a crew of agents, as
operators in an IRC channel tell it. "fireclaw overseer install" makes a
service of it, for the folder that it is to work with.
]])
fireclaw_package(
  python
  NAME python3-fireclaw
  SECTION python
  SUMMARY "commands and agents in microVMs - Python 3 package"
  DEPENDS "fireclaw ${same_version}" "${package_library} ${same_version}"
          "python3 (>= ${Python3_VERSION_MAJOR}.${Python3_VERSION_MINOR})"
          "python3 (<< ${Python3_VERSION_MAJOR}.${next_python})"
  CONTROL ${PROJECT_SOURCE_DIR}/cmake/debian/python/postinst ${PROJECT_SOURCE_DIR}/cmake/debian/python/prerm
  TEXT [[
This package has the library for Python, with the names of the C++ one.
]])
include(CPack)

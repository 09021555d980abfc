# fireclaw_search_path(<target> BUILT <folder> INSTALLED <folder> DESTINATION <folder> COMPONENT <component>): where the target
# looks for libfireclaw in the build folder and once installed, both as seen from its own folder. Call it after install(TARGETS).
#
# CMake would pad the search path of what it is going to install with empty entries, and the system takes these for the
# current directory: a program that was built would load libraries from wherever it is called. Slashes pad as well.
function(fireclaw_search_path target)
  cmake_parse_arguments(ARG "" "BUILT;INSTALLED;DESTINATION;COMPONENT" "" ${ARGN})
  if(NOT BUILD_SHARED_LIBS)
    return()
  endif()
  set(built "$ORIGIN/${ARG_BUILT}")
  set(installed "$ORIGIN/${ARG_INSTALLED}")
  string(LENGTH "${built}" length)
  string(LENGTH "${installed}" wanted)
  if(length LESS wanted)
    math(EXPR missing "${wanted} - ${length}")
    string(REPEAT "/" ${missing} padding)
    string(APPEND built "${padding}")
  endif()
  # Without CMake's own search path.
  set_target_properties(${target} PROPERTIES BUILD_WITH_INSTALL_RPATH ON INSTALL_RPATH "")
  # As a flag that goes to the shell as it is: what CMake escapes itself loses the dollar sign.
  set_property(TARGET ${target} APPEND_STRING PROPERTY LINK_FLAGS " -Wl,-rpath,'${built}'")
  if(NOT FIRECLAW_INSTALL OR built STREQUAL installed AND NOT CMAKE_SKIP_INSTALL_RPATH)
    return()
  endif()
  if(NOT IS_ABSOLUTE "${ARG_DESTINATION}")
    string(PREPEND ARG_DESTINATION "\${CMAKE_INSTALL_PREFIX}/")
  endif()
  set(file "\$ENV{DESTDIR}${ARG_DESTINATION}/$<TARGET_FILE_NAME:${target}>")
  if(CMAKE_SKIP_INSTALL_RPATH)
    set(change "file(RPATH_REMOVE FILE \"${file}\")")
  else()
    set(change "file(RPATH_CHANGE FILE \"${file}\" OLD_RPATH [[${built}]] NEW_RPATH [[${installed}]])")
  endif()
  install(CODE "${change}" COMPONENT ${ARG_COMPONENT})
endfunction()

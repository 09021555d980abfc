# The build folder is laid out like an installation (bin/, lib/, libexec/fireclaw/, share/fireclaw/), so that programs find each other
# by the same relative paths in both.
set_target_properties(fireclaw PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib
                                          ARCHIVE_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib)
foreach(program overseer mcp)
  if(TARGET fireclaw_${program})
    file(RELATIVE_PATH to_lib ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_LIBDIR})
    set_target_properties(fireclaw_${program} PROPERTIES OUTPUT_NAME fireclaw-${program}
                                                         INSTALL_RPATH "$ORIGIN/${to_lib}"
                                                         RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
    add_dependencies(fireclaw_cli fireclaw_${program})
  endif()
endforeach()
if(TARGET fireclaw_cli)
  file(RELATIVE_PATH to_lib ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_LIBDIR})
  set_target_properties(fireclaw_cli PROPERTIES OUTPUT_NAME fireclaw RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin
                                                INSTALL_RPATH "$ORIGIN/${to_lib}")
  if(TARGET guestd)
    add_dependencies(fireclaw_cli guestd)
  endif()
  add_dependencies(fireclaw_cli fireclaw_netd)
endif()
if(TARGET guestd)
  set_target_properties(guestd PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/libexec/fireclaw)
endif()
set_target_properties(fireclaw_netd PROPERTIES OUTPUT_NAME fireclaw-netd
                                               RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/libexec/fireclaw)
foreach(part bot root)
  file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/share/fireclaw/agent)
  file(CREATE_LINK ${PROJECT_SOURCE_DIR}/agent/${part} ${PROJECT_BINARY_DIR}/share/fireclaw/agent/${part} SYMBOLIC)
endforeach()

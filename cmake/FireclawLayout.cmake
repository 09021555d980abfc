# The build folder is laid out like an installation (bin/, lib/, libexec/fireclaw/, share/fireclaw/), so that programs find each other
# by the same relative paths in both.
set_target_properties(fireclaw PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib
                                          ARCHIVE_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib)
foreach(program overseer mcp)
  if(TARGET fireclaw_${program})
    set_target_properties(fireclaw_${program} PROPERTIES OUTPUT_NAME fireclaw-${program}
                                                         RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
    # With batches, all is compiled at once and the first command runs before these exist.
    if(NOT FIRECLAW_BATCHES)
      add_dependencies(fireclaw_cli fireclaw_${program})
    endif()
  endif()
endforeach()
if(TARGET fireclaw_cli)
  set_target_properties(fireclaw_cli PROPERTIES OUTPUT_NAME fireclaw RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
  if(TARGET guestd)
    add_dependencies(fireclaw_cli guestd)
  endif()
  add_dependencies(fireclaw_cli fireclaw_netd)
endif()
if(TARGET guestd)
  set_target_properties(guestd PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/libexec/fireclaw)
endif()
if(TARGET fireclaw_gateway_program)
  set_target_properties(fireclaw_gateway_program PROPERTIES OUTPUT_NAME gateway
                                                            RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/libexec/fireclaw)
  add_dependencies(fireclaw_cli fireclaw_gateway_program)
endif()
set_target_properties(fireclaw_netd PROPERTIES OUTPUT_NAME fireclaw-netd
                                               RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/libexec/fireclaw)
foreach(part bot root)
  file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/share/fireclaw/agent)
  file(CREATE_LINK ${PROJECT_SOURCE_DIR}/agent/${part} ${PROJECT_BINARY_DIR}/share/fireclaw/agent/${part} SYMBOLIC)
endforeach()

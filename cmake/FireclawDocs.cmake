# `cmake --build <folder> --target docs` writes what the public headers say as HTML to docs/html in the build folder.
find_program(FIRECLAW_DOXYGEN doxygen)
configure_file(${PROJECT_SOURCE_DIR}/cmake/Doxyfile.in ${PROJECT_BINARY_DIR}/Doxyfile @ONLY)
if(FIRECLAW_DOXYGEN)
  add_custom_target(docs COMMAND ${FIRECLAW_DOXYGEN} ${PROJECT_BINARY_DIR}/Doxyfile USES_TERMINAL
                    COMMENT "Documenting the public headers in docs/html")
endif()

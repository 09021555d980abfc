# Makes a C++ source that holds the agents' templates (agent/templates/*.json), so that the library has them wherever
# it is installed.
file(GLOB templates CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/agent/templates/*.json)
set(FIRECLAW_TEMPLATE_ENTRIES "")
foreach(template IN LISTS templates)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${template})
  cmake_path(GET template STEM name)
  file(READ ${template} content)
  string(APPEND FIRECLAW_TEMPLATE_ENTRIES "      {\"${name}\", R\"json(${content})json\"},\n")
endforeach()
configure_file(${PROJECT_SOURCE_DIR}/libfireclaw/state/settings/built_in_templates.cpp.in
               ${PROJECT_BINARY_DIR}/generated/built_in_templates.cpp @ONLY)

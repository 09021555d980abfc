# What is made from the public headers when CMake runs, which it does again when one of them has changed: see describe.py.
# The target fireclaw_described has the headers that apps/ and bindings/ may use beside those of include/; the library has
# the texts of enums from them.
# fireclaw_describe(<variable> <arguments of describe.py after INCLUDE>): the variable gets the list of files.
function(fireclaw_describe variable)
  execute_process(COMMAND ${FIRECLAW_PYTHON} ${PROJECT_SOURCE_DIR}/cmake/describe.py ${PROJECT_SOURCE_DIR}/include ${ARGN}
                  OUTPUT_VARIABLE files OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  string(REPLACE "\n" ";" files "${files}")
  set(${variable} ${files} PARENT_SCOPE)
endfunction()

file(GLOB described CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/include/fireclaw/*.hpp)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${described} ${PROJECT_SOURCE_DIR}/cmake/describe.py)
fireclaw_describe(described cpp ${PROJECT_BINARY_DIR}/described/fireclaw/fields.hpp)
add_library(fireclaw_described INTERFACE)
target_include_directories(fireclaw_described INTERFACE ${PROJECT_BINARY_DIR}/described)

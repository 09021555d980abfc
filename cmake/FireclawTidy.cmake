# `ninja tidy` runs clang-tidy over all of it (minutes); `FIRECLAW_TIDY_FILES` narrows it to files matching a regular
# expression. It reads compile_commands.json, so it follows whichever preset it is started from.
find_program(FIRECLAW_RUN_CLANG_TIDY NAMES run-clang-tidy-14 run-clang-tidy)
set(FIRECLAW_TIDY_FILES "${PROJECT_SOURCE_DIR}/(libfireclaw|apps|agent|tests)/.*"
    CACHE STRING "Files for the target tidy, as a regular expression")
if(FIRECLAW_RUN_CLANG_TIDY)
  add_custom_target(
    tidy
    COMMAND ${FIRECLAW_RUN_CLANG_TIDY} -quiet -p ${PROJECT_BINARY_DIR} ${FIRECLAW_TIDY_FILES}
    COMMENT "clang-tidy" VERBATIM USES_TERMINAL)
endif()

# `ninja tidy` runs clang-tidy over all but the tests' own sources (minutes); FIRECLAW_TIDY_FILES narrows it to files
# matching a regular expression. It is not part of the test suite, since it takes longer than all tests.
find_program(FIRECLAW_RUN_CLANG_TIDY NAMES run-clang-tidy-14 run-clang-tidy)
set(FIRECLAW_TIDY_FILES "${PROJECT_SOURCE_DIR}/(libfireclaw|apps|agent)/(?!.*(_test|_fuzz)\\.cpp).*"
    CACHE STRING "Files for the target tidy, as a regular expression")
mark_as_advanced(FIRECLAW_RUN_CLANG_TIDY FIRECLAW_TIDY_FILES)
if(FIRECLAW_RUN_CLANG_TIDY)
  add_custom_target(
    tidy
    COMMAND ${FIRECLAW_RUN_CLANG_TIDY} -quiet -p ${PROJECT_BINARY_DIR} ${FIRECLAW_TIDY_FILES}
    COMMENT "clang-tidy" VERBATIM USES_TERMINAL)
endif()

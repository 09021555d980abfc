# The Python that runs what CMake needs: the system's, if there is one.
if(NOT FIRECLAW_PYTHON)
  find_program(FIRECLAW_PYTHON NAMES python3 PATHS /usr/bin NO_DEFAULT_PATH)
  find_program(FIRECLAW_PYTHON NAMES python3 REQUIRED)
endif()

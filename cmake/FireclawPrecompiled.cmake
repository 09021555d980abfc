# Precompiled headers: most of what a source costs to compile is the parsing of the standard library's and other libraries'
# headers. One set for libraries and one for programs, since position independent code differs between them.
#
# Sources still name what they include: nothing but the compiler's time depends on this, and the preset "fuzz" builds
# without it. ccache needs CCACHE_SLOPPINESS=pch_defines,time_macros and CCACHE_PCH_EXTSUM=1 (scripts/common.sh sets them):
# it then knows a set by what it is made from. Its bytes differ whenever it is compiled again.
option(FIRECLAW_PRECOMPILE "Use precompiled headers" ON)
if(FIRECLAW_FUZZ)
  set(FIRECLAW_PRECOMPILE OFF)
endif()

set(precompiled_standard
    <algorithm> <array> <atomic> <charconv> <chrono> <condition_variable> <cstdint> <cstring> <exception> <filesystem>
    <functional> <map> <memory> <mutex> <optional> <ranges> <set> <span> <stdexcept> <stop_token> <string> <string_view>
    <system_error> <thread> <tuple> <utility> <variant> <vector> <fmt/format.h>)

# fireclaw_precompile_set(<name> KIND library|program [HEADERS header...] [LINKS library...] [VERSIONS version...] [SOURCE file])
# SOURCE defines what the headers of a program refer to.
function(fireclaw_precompile_set name)
  if(NOT FIRECLAW_PRECOMPILE)
    return()
  endif()
  cmake_parse_arguments(ARG "" "KIND;SOURCE" "HEADERS;LINKS;VERSIONS" ${ARGN})
  set(source ${PROJECT_BINARY_DIR}/${name}.cpp)
  if(ARG_KIND STREQUAL program AND NOT ARG_SOURCE)
    file(CONFIGURE OUTPUT ${source} CONTENT "int main() { return 0; }\n")
  else()
    file(CONFIGURE OUTPUT ${source} CONTENT "")
  endif()
  if(ARG_KIND STREQUAL program)
    add_executable(${name} EXCLUDE_FROM_ALL ${source} ${ARG_SOURCE})
  else()
    add_library(${name} OBJECT EXCLUDE_FROM_ALL ${source})
  endif()
  target_link_libraries(${name} PRIVATE fireclaw_flags fmt::fmt ${ARG_LINKS})
  target_precompile_headers(${name} PRIVATE ${precompiled_standard} ${ARG_HEADERS})
  string(TOUPPER "${CMAKE_BUILD_TYPE}" type)
  string(SHA256 made_from "${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION} ${CMAKE_CXX_FLAGS} ${CMAKE_CXX_FLAGS_${type}}
    ${FIRECLAW_SANITIZE} ${ARG_KIND} ${precompiled_standard} ${ARG_HEADERS} ${fmt_VERSION} ${ARG_VERSIONS}")
  file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/CMakeFiles/${name}.dir/cmake_pch.hxx.gch.sum ${made_from})
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    target_compile_options(${name} PRIVATE -fpch-preprocess)
  endif()
endfunction()

# fireclaw_precompiled(<target> <set>): compiles the target with the headers of a set.
function(fireclaw_precompiled target set)
  if(NOT TARGET ${set})
    return()
  endif()
  target_precompile_headers(${target} REUSE_FROM ${set})
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    target_compile_options(${target} PRIVATE -fpch-preprocess)
  endif()
endfunction()

fireclaw_precompile_set(precompiled_library KIND library)
if(FIRECLAW_PROGRAMS)
  # CLI11 is only in the set of the sources that use it: its header defines validators that each source compiles, for seconds.
  fireclaw_precompile_set(precompiled_app_parts KIND library HEADERS <nlohmann/json.hpp> LINKS nlohmann_json::nlohmann_json
                          VERSIONS ${nlohmann_json_VERSION})
  fireclaw_precompile_set(precompiled_apps KIND program HEADERS <CLI/CLI.hpp> <nlohmann/json.hpp>
                          LINKS CLI11::CLI11 nlohmann_json::nlohmann_json VERSIONS ${CLI11_VERSION} ${nlohmann_json_VERSION})
endif()
if(FIRECLAW_TESTS)
  # It defines what the header only declares elsewhere.
  set_source_files_properties(${PROJECT_SOURCE_DIR}/tests/support/main.cpp PROPERTIES SKIP_PRECOMPILE_HEADERS ON)
  fireclaw_precompile_set(precompiled_tests KIND program HEADERS <doctest/doctest.h> LINKS doctest::doctest VERSIONS ${doctest_VERSION}
                          SOURCE ${PROJECT_SOURCE_DIR}/tests/support/main.cpp)
  if(TARGET precompiled_tests)
    set_target_properties(precompiled_tests PROPERTIES FIRECLAW_UNOPTIMISED ON)
  endif()
endif()

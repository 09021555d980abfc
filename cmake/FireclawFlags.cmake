# Compiler and linker settings shared by everything that is built here.
add_library(fireclaw_flags INTERFACE)
target_compile_options(fireclaw_flags INTERFACE -Wall -Wextra $<$<BOOL:${FIRECLAW_WERROR}>:-Werror>)

# What is built names its sources relative to the checkout: the same from every folder, and no host path ships.
target_compile_options(
  fireclaw_flags INTERFACE -ffile-prefix-map=${PROJECT_SOURCE_DIR}=. -ffile-prefix-map=${PROJECT_BINARY_DIR}=./build)

# Lines and function names are what a backtrace needs; all of -g makes an optimised build take half as long again.
target_compile_options(fireclaw_flags INTERFACE $<$<CONFIG:RelWithDebInfo>:-g1>)

# What a test itself consists of takes twice as long to compile with optimisation, and runs for moments. A target says so
# by the property FIRECLAW_UNOPTIMISED; what it is linked with is built as ever.
set(unoptimised $<AND:$<NOT:$<CONFIG:Debug>>,$<BOOL:$<TARGET_PROPERTY:FIRECLAW_UNOPTIMISED>>>)
set(optimised $<AND:$<NOT:$<CONFIG:Debug>>,$<NOT:$<BOOL:$<TARGET_PROPERTY:FIRECLAW_UNOPTIMISED>>>>)
target_compile_options(fireclaw_flags INTERFACE $<${unoptimised}:-O0>)

if(FIRECLAW_SANITIZE)
  target_compile_options(fireclaw_flags INTERFACE -fsanitize=${FIRECLAW_SANITIZE} -fno-omit-frame-pointer
                                                  -fno-sanitize-recover=all)
  target_link_options(fireclaw_flags INTERFACE -fsanitize=${FIRECLAW_SANITIZE})
  # _FORTIFY_SOURCE is left out: its checked variants of libc functions hide calls from the sanitizers.
else()
  # Hardening. None of it shows in the start-up time of a command (1.02 ms against 1.00 ms for a C++ program that
  # does nothing, lazily bound, 300 starts each): that is spent on the libraries loaded, so those are few.
  target_compile_options(
    fireclaw_flags
    INTERFACE -fstack-protector-strong -fstack-clash-protection
              $<$<STREQUAL:${CMAKE_SYSTEM_PROCESSOR},x86_64>:-fcf-protection>
              $<$<STREQUAL:${CMAKE_SYSTEM_PROCESSOR},aarch64>:-mbranch-protection=standard>
              # Without optimisation the macro only warns.
              $<${optimised}:-U_FORTIFY_SOURCE> $<${optimised}:-D_FORTIFY_SOURCE=2>
              $<$<CONFIG:Debug>:-D_GLIBCXX_ASSERTIONS>)
  target_link_options(fireclaw_flags INTERFACE LINKER:-z,relro LINKER:-z,now LINKER:-z,noexecstack)
endif()
# Libraries that nothing refers to are not loaded.
target_link_options(fireclaw_flags INTERFACE LINKER:--as-needed)

if(FIRECLAW_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID MATCHES Clang)
    message(FATAL_ERROR "FIRECLAW_FUZZ needs clang: use the preset fuzz")
  endif()
  # Coverage for the fuzzers; the engine itself is linked into the fuzzers only.
  target_compile_options(fireclaw_flags INTERFACE -fsanitize=fuzzer-no-link)
  target_link_options(fireclaw_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

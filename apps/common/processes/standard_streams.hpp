#pragma once

#include <exception>
#include <string_view>

namespace fireclaw::cli {

/// Opens /dev/null where standard input, output or error is closed, so that no file opened later takes that number and
/// receives output for a terminal. Call it first in a program.
void open_standard_streams();

/// Thrown where the reader of standard output has gone, as in `| head -1`: the program ends without a word.
struct ReaderGone : std::exception {
  [[nodiscard]] const char* what() const noexcept override { return "nobody reads the output any more"; }
};

/// The exit status that a shell shows for a program that SIGPIPE has ended.
inline constexpr int exit_reader_gone = 141;

/// Call it last in a program: flushes standard output. Returns `status`, or, if the output could not be written,
/// exit_reader_gone in silence if nobody reads it, else 125 after saying why.
int finish_output(std::string_view program, int status);

}  // namespace fireclaw::cli

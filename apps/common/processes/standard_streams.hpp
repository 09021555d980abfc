#pragma once

#include <exception>
#include <string_view>

namespace fireclaw::cli {

/// Opens /dev/null where standard input, output or error is closed, so that no file opened later takes that number and
/// gets what was meant for a terminal. The first thing a program does.
void open_standard_streams();

/// Thrown where the reader of standard output has gone, as in `| head -1`: the program ends without a word.
struct ReaderGone : std::exception {
  [[nodiscard]] const char* what() const noexcept override { return "nobody reads the output any more"; }
};

/// What a shell shows of a program that SIGPIPE has ended.
inline constexpr int exit_reader_gone = 141;

/// The last thing a program does: writes out what standard output still holds. Returns `status`, or a failure's if the
/// output could not be written: exit_reader_gone in silence if nobody reads it, else 125 after saying why.
int finish_output(std::string_view program, int status);

}  // namespace fireclaw::cli

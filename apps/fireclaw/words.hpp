#pragma once

#include <CLI/CLI.hpp>

#include <string>
#include <vector>

namespace fireclaw::cli {

/// Turns a command line (without the program's name) as people type it into the form that the parser reads:
///
/// "-it" and "-ti", as one word before a command, are -i and --tty, since -t is a time.
/// `vm exec NAME PROGRAM ARGUMENTS...` needs no "--" before the program: what follows it is the program's.
std::vector<std::string> as_the_parser_reads(const CLI::App& app, const std::vector<std::string>& words);

}  // namespace fireclaw::cli

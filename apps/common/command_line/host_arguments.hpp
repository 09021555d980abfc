#pragma once

#include <CLI/CLI.hpp>

#include <filesystem>
#include <string>
#include <vector>

#include "fireclaw/host.hpp"

namespace fireclaw::cli {

/// The arguments by which every program of fireclaw finds its home folder and its engines.
struct HostArguments {
  std::string home;
  std::string engine = "auto";
  std::string firecracker;
  std::string qemu;
};

void add_host_arguments(CLI::App& app, HostArguments& arguments);
/// The folder named, else $FIRECLAW_HOME, else ~/.fireclaw; absolute.
std::filesystem::path home_of(const HostArguments& arguments);
/// The options, with the environment's proxies and cache.
HostOptions host_options(const HostArguments& arguments, LogSink log);
/// The given ones as words, for another program of fireclaw.
std::vector<std::string> to_argv(const HostArguments& arguments);

}  // namespace fireclaw::cli

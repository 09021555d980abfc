#pragma once

#include <CLI/CLI.hpp>

#include <filesystem>
#include <string>
#include <vector>

#include "fireclaw/host.hpp"

namespace fireclaw::cli {

/// What every program of fireclaw takes to find its home folder and its engines.
struct HostArguments {
  std::string home;
  std::string engine = "auto";
  std::string firecracker;
  std::string qemu;
};

void add_host_arguments(CLI::App& app, HostArguments& arguments);
/// The folder named, else $FIRECLAW_HOME, else ~/.fireclaw; absolute.
std::filesystem::path home_of(const HostArguments& arguments);
/// With what the environment says of proxies and the cache.
HostOptions host_options(const HostArguments& arguments, LogSink log);
/// What gives another program of fireclaw the same: those that were given.
std::vector<std::string> to_argv(const HostArguments& arguments);

}  // namespace fireclaw::cli

#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include "fireclaw/vm.hpp"

namespace fireclaw::mcp {

/// What a client may do. It is said on the command line; nothing that the client sends changes it.
struct Policy {
  /// Images that machines may be made from, the first unless another is asked for; empty: all there are.
  std::vector<std::string> images;
  unsigned cpus = 1;
  unsigned most_cpus = 2;
  unsigned memory_mib = 128;
  unsigned most_memory_mib = 1024;
  /// What machines' network devices lead to.
  NetworkMode network = NetworkMode::None;
  NatOptions nat;
  /// Machines at once, those of single commands included.
  std::size_t machines = 8;
  /// Saved states at once.
  std::size_t snapshots = 16;
  /// Calls that are worked on at once, and those that may wait beside them.
  unsigned calls = 8;
  std::size_t waiting_calls = 64;
  /// What the lines of calls that run or wait may take together, one call aside.
  std::size_t calls_bytes = std::size_t{32} << 20;
  /// A client that wants progress of a call hears of it at least this often, also while nothing happens.
  std::chrono::milliseconds silence = std::chrono::seconds{3};
  /// For a command, unless the client asks for less or more, and the most it may ask for.
  std::chrono::milliseconds timeout = std::chrono::seconds{60};
  std::chrono::milliseconds longest_timeout = std::chrono::minutes{10};
  /// The most to return of each output stream of a command: its beginning and its end.
  std::size_t output_bytes = std::size_t{64} << 10;
  /// The most to read or write of a file at once.
  std::size_t file_bytes = std::size_t{1} << 20;
  std::size_t folder_entries = 1000;

  [[nodiscard]] std::string default_image() const { return images.empty() ? VMConfig{}.image : images.front(); }
  /// A machine of which the client has said nothing.
  [[nodiscard]] VMConfig machine() const {
    VMConfig config;
    config.image = default_image();
    config.cpus = cpus;
    config.memory_mib = memory_mib;
    config.network = network;
    config.nat = nat;
    return config;
  }
};

}  // namespace fireclaw::mcp

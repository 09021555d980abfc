#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace fireclaw::cli {

/// A program that runs `true`, measured as a whole: from its start until it has been waited for.
struct Contestant {
  std::string name;
  std::vector<std::string> argv;
};

/// Those of podman, docker, bubblewrap and QEMU that are installed. Containers are made from `image`, which must be
/// there: nothing is fetched. A note for each that is not measured.
struct Contestants {
  std::vector<Contestant> present;
  std::vector<std::string> notes;
};
Contestants find_contestants(const std::string& image);

/// How long it took; nullopt if it could not be started or failed.
std::optional<std::chrono::nanoseconds> run_program(const std::vector<std::string>& argv);

}  // namespace fireclaw::cli

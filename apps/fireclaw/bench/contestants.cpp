#include "bench/contestants.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include <fmt/format.h>

namespace fireclaw::cli {
namespace {

/// A container engine: whether it has `image`, and how it runs `true` in it.
struct ContainerEngine {
  std::string name;
  std::vector<std::string> has_image;
};

void add_container_engine(Contestants& found, const ContainerEngine& engine, const std::string& image) {
  if (!run_program({engine.name, "--version"})) {
    found.notes.push_back(fmt::format("{} is not installed.", engine.name));
    return;
  }
  auto asks = engine.has_image;
  asks.push_back(image);
  if (!run_program(asks)) {
    found.notes.push_back(fmt::format("{} has no image `{}`, or does not work here.", engine.name, image));
    return;
  }
  found.present.push_back({fmt::format("{} run", engine.name),
                           {engine.name, "run", "--rm", "--network", "none", "--pull", "never", image, "true"}});
}

void add_if_it_works(Contestants& found, Contestant contestant) {
  if (run_program(contestant.argv)) {
    found.present.push_back(std::move(contestant));
  } else {
    found.notes.push_back(fmt::format("{} is not installed, or does not work here.", contestant.name));
  }
}

}  // namespace

std::optional<std::chrono::nanoseconds> run_program(const std::vector<std::string>& argv) {
  std::vector<char*> words;
  for (const auto& word : argv) words.push_back(const_cast<char*>(word.c_str()));  // NOLINT: what POSIX asks for
  words.push_back(nullptr);
  posix_spawn_file_actions_t files;
  ::posix_spawn_file_actions_init(&files);
  ::posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  ::posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  const auto began = std::chrono::steady_clock::now();
  pid_t pid = 0;
  const int problem = ::posix_spawnp(&pid, words.front(), &files, nullptr, words.data(), environ);
  ::posix_spawn_file_actions_destroy(&files);
  if (problem != 0) return std::nullopt;
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  const auto took = std::chrono::steady_clock::now() - began;
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) return std::nullopt;
  return took;
}

Contestants find_contestants(const std::string& image) {
  Contestants found;
  add_container_engine(found, {"podman", {"podman", "image", "exists"}}, image);
  add_container_engine(found, {"docker", {"docker", "image", "inspect"}}, image);
  add_if_it_works(
      found,
      {"bubblewrap", {"bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--unshare-all", "true"}});
  // Ends only when it is told to.
  add_if_it_works(found,
                  {"QEMU without a machine",
                   {"sh", "-c", "echo quit | qemu-system-x86_64 -M none -nodefaults -display none -monitor stdio"}});
  return found;
}

}  // namespace fireclaw::cli

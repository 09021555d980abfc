#include "upgrade/service_units.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include <fmt/format.h>

#include "common/fd.hpp"
#include "json_of.hpp"

namespace fireclaw::cli {
namespace {

/// What the program writes to its standard output.
std::string output_of(std::vector<std::string> argv) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw Error{ErrorCode::Io, fmt::format("make a pipe: {}", std::strerror(errno))};
  const Fd read{ends[0]};
  Fd write{ends[1]};
  posix_spawn_file_actions_t files;
  ::posix_spawn_file_actions_init(&files);
  ::posix_spawn_file_actions_adddup2(&files, write.get(), STDOUT_FILENO);
  std::vector<char*> words;
  words.reserve(argv.size() + 1);
  for (auto& word : argv) words.push_back(word.data());
  words.push_back(nullptr);
  pid_t pid = 0;
  const int problem = ::posix_spawn(&pid, words.front(), &files, nullptr, words.data(), ::environ);
  ::posix_spawn_file_actions_destroy(&files);
  write.reset();
  if (problem != 0) {
    throw Error{ErrorCode::Io, fmt::format("'{}' cannot be started: {}", argv.front(), std::strerror(problem))};
  }
  std::string text;
  std::array<char, 4096> piece{};
  for (;;) {
    const auto got = ::read(read.get(), piece.data(), piece.size());
    if (got > 0) text.append(piece.data(), static_cast<std::size_t>(got));
    if (got == 0 || (got < 0 && errno != EINTR)) break;
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    throw Error{ErrorCode::Io, fmt::format("'{}' failed", fmt::join(argv, " "))};
  }
  return text;
}

}  // namespace

std::vector<ServiceUnit> service_units(const Context& context, bool renew) {
  const auto program = std::filesystem::read_symlink("/proc/self/exe").replace_filename("fireclaw-overseer");
  if (!std::filesystem::exists(program)) return {};
  std::vector<std::string> argv{program.native()};
  const auto host = to_argv(context.host);
  argv.insert(argv.end(), host.begin(), host.end());
  argv.insert(argv.end(), {"units", "--json"});
  if (renew) argv.emplace_back("--renew");
  std::vector<ServiceUnit> units;
  for (const auto& one : Json::parse(output_of(std::move(argv)))) {
    units.push_back({one.at("unit").get<std::string>(), one.at("old").get<bool>(), one.at("renewed").get<bool>(),
                     one.at("remedy").get<std::string>()});
  }
  return units;
}

}  // namespace fireclaw::cli

#include "irc/neighbours.hpp"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <sstream>
#include <string_view>
#include <system_error>

#include <fmt/format.h>

#include "base/number.hpp"

namespace fireclaw::overseer {
namespace {

constexpr std::string_view established = "01";

std::string read_all(const std::filesystem::path& path) {
  std::ifstream file{path};
  return {std::istreambuf_iterator<char>{file}, {}};
}

/// The number behind the colon, as in "0100007F:1A0B".
std::optional<std::uint16_t> port_of(std::string_view address) {
  const auto colon = address.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  return parse_number<std::uint16_t>(address.substr(colon + 1), 16);
}

/// An IPv4 address as the other table has it: a socket of either kind can be at either end.
std::string plain(std::string address) {
  constexpr std::string_view mapped = "0000000000000000FFFF0000";
  if (address.starts_with(mapped)) address.erase(0, mapped.size());
  return address;
}

/// Programs through which others speak.
bool passes_on(std::string_view program) {
  constexpr std::string_view names[] = {"qemu", "firecracker", "fireclaw", "passt", "pasta", "slirp4netns"};
  return std::ranges::any_of(names, [&](auto name) { return program.starts_with(name); });
}

/// Calls `use` with the number of the process and its name, until that returns false.
template <typename Use>
void each_process(Use use) {
  std::error_code ignored;  // a process may be gone by the time it is looked at
  for (const auto& entry : std::filesystem::directory_iterator{"/proc", ignored}) {
    const auto pid = parse_number<pid_t>(entry.path().filename().native());
    if (pid && !use(*pid, entry.path())) return;
  }
}

/// The sockets of `wanted` that a process holds.
std::set<std::uint64_t> sockets_of(const std::filesystem::path& process, const std::set<std::uint64_t>& wanted) {
  std::set<std::uint64_t> held;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator{process / "fd", ignored}) {
    const auto target = std::filesystem::read_symlink(entry.path(), ignored).native();
    constexpr std::string_view socket = "socket:[";
    if (!target.starts_with(socket)) continue;
    std::uint64_t number = 0;
    std::from_chars(target.data() + socket.size(), target.data() + target.size(), number);
    if (wanted.contains(number)) held.insert(number);
  }
  return held;
}

}  // namespace

Neighbours neighbours_at(std::uint16_t port, const std::string& tables) {
  struct Row {
    uid_t user;
    std::uint64_t socket;
  };
  std::map<std::pair<std::string, std::string>, Row> rows;
  std::istringstream lines{tables};
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words{line};
    std::string number, local, remote, state, queues, timer, retransmits, timeout;
    Row row{};
    if (words >> number >> local >> remote >> state >> queues >> timer >> retransmits >> row.user >> timeout >>
            row.socket &&
        state == established) {
      rows.emplace(std::pair{plain(local), plain(remote)}, row);
    }
  }
  Neighbours found;
  for (const auto& [ends, row] : rows) {
    if (port_of(ends.second) != port || !rows.contains({ends.second, ends.first})) continue;
    found.users.insert(row.user);
    found.sockets.insert(row.socket);
  }
  return found;
}

bool only_own_user_at(std::uint16_t port) {
  auto [users, open] = neighbours_at(port, read_all("/proc/net/tcp") + read_all("/proc/net/tcp6"));
  if (open.empty() || users != std::set<uid_t>{::geteuid()}) return false;
  bool only_programs = true;
  each_process([&](pid_t pid, const std::filesystem::path& process) {
    for (const auto socket : sockets_of(process, open)) {
      open.erase(socket);
      // This process is one of them itself.
      only_programs = only_programs && (pid == ::getpid() || !passes_on(read_all(process / "comm")));
    }
    return only_programs && !open.empty();
  });
  // One that nobody seems to have is of somebody who cannot be looked at.
  return only_programs && open.empty();
}

}  // namespace fireclaw::overseer

#include <fcntl.h>
#include <fmt/format.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>

#include "sys/fd.hpp"
#include "sys/file.hpp"
#include "sys/process.hpp"
#include "sys/sandbox/sandbox.hpp"

namespace fireclaw::sys {
namespace {

constexpr std::chrono::seconds try_limit{10};

std::string read_if_there(const std::filesystem::path& path) {
  try {
    return read_file(path);
  } catch (const Error&) {
    return {};
  }
}

std::string user_name(uid_t uid) {
  std::array<char, 4096> buffer{};
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr) return {};
  return found->pw_name;
}

/// Starts a program that does nothing. Empty if it could be confined so, else why not.
std::string problem_with(Confinement level, std::optional<uid_t> user, const std::filesystem::path& program,
                         const std::vector<std::filesystem::path>& search_path) {
  try {
    SpawnSpec spec;
    spec.argv = {program.string()};
    spec.search_path = search_path;
    spec.sandbox.emplace();
    spec.sandbox->level = level;
    spec.sandbox->user = user;
    spec.sandbox->entries = program_entries(program);
    const auto status = Child::spawn(spec).wait(Deadline::after(std::chrono::nanoseconds{try_limit}));
    if (!status) return "a confined program hangs";
    return status->success() ? std::string{} : "a confined program " + status->describe();
  } catch (const Error& error) {
    return error.what();
  }
}

std::string field(std::string_view status, std::string_view name) {
  const auto key = fmt::format("\n{}:", name);
  const auto at = status.find(key);
  if (at == std::string_view::npos) return {};
  auto value = status.substr(at + key.size());
  value = value.substr(0, value.find('\n'));
  value.remove_prefix(std::min(value.find_first_not_of(" \t"), value.size()));
  return std::string{value};
}

unsigned number(std::string_view text) {
  unsigned value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

}  // namespace

std::optional<IdRange> subordinate_ids(const std::vector<std::filesystem::path>& search_path) {
  if (!find_program("newuidmap", search_path) || !find_program("newgidmap", search_path)) return std::nullopt;
  const auto uid = ::geteuid();
  const auto name = user_name(uid);
  const auto users = parse_subordinate_ids(read_if_there("/etc/subuid"), name, uid);
  const auto groups = parse_subordinate_ids(read_if_there("/etc/subgid"), name, uid);
  if (!users || !groups) return std::nullopt;
  // One number serves as user and as group.
  const auto first = std::max(users->first, groups->first);
  const auto end = std::min(std::uint64_t{users->first} + users->count, std::uint64_t{groups->first} + groups->count);
  if (end <= first) return std::nullopt;
  return IdRange{first, static_cast<std::uint32_t>(end - first)};
}

std::string confinement_context() {
  // Where no new privileges are to be had, newuidmap has none either.
  const bool bound = ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
  // In a changed root (chroot) no user namespace can be made.
  struct stat root {};
  check(::stat("/", &root), "stat /");
  auto context = fmt::format("user {}{}, root {}:{}/{}, map", ::geteuid(), bound ? ", no new privileges" : "",
                             major(root.st_dev), minor(root.st_dev), root.st_ino);
  bool blank = true;
  for (const char c : read_if_there("/proc/self/uid_map")) {
    const bool space = c == ' ' || c == '\n' || c == '\t';
    if (!space) context += blank ? std::string{' ', c} : std::string(1, c);
    blank = space;
  }
  return context;
}

Confinable find_confinement(const IdRange& wanted, const std::vector<std::filesystem::path>& search_path) {
  Confinable found;
  found.context = confinement_context();
  const auto program = find_program("true", search_path);
  if (!program) {
    found.obstacle = "there is no program 'true' to try it with";
    return found;
  }
  const auto ids = ::geteuid() == 0 ? std::optional{wanted} : subordinate_ids(search_path);
  if (ids) {
    found.ids_obstacle = problem_with(Confinement::Full, ids->first, *program, search_path);
    if (found.ids_obstacle.empty()) {
      found.level = Confinement::Full;
      found.ids = ids;
      return found;
    }
  } else {
    found.ids_obstacle =
        "no ids of your own to give away: install uidmap, and add a line for you to /etc/subuid and /etc/subgid";
  }
  found.obstacle = problem_with(Confinement::Full, std::nullopt, *program, search_path);
  if (found.obstacle.empty()) {
    found.level = Confinement::Full;
  } else if (problem_with(Confinement::Landlock, std::nullopt, *program, search_path).empty()) {
    found.level = Confinement::Landlock;
  }
  return found;
}

ConfinementSeen see_confinement(pid_t pid) {
  const auto status = read_file(fmt::format("/proc/{}/status", pid));
  ConfinementSeen seen;
  seen.user = number(field(status, "Uid"));
  seen.capabilities = field(status, "CapEff").find_first_not_of('0') != std::string::npos ||
                      field(status, "CapPrm").find_first_not_of('0') != std::string::npos;
  seen.no_new_privileges = field(status, "NoNewPrivs") == "1";
  seen.seccomp_filters = number(field(status, "Seccomp_filters"));
  if (seen.seccomp_filters == 0 && field(status, "Seccomp") == "2") seen.seccomp_filters = 1;
  for (const auto* name : {"mnt", "pid", "net", "user", "ipc", "uts"}) {
    std::error_code error;
    const auto its = std::filesystem::read_symlink(fmt::format("/proc/{}/ns/{}", pid, name), error);
    if (error) continue;
    if (its != std::filesystem::read_symlink(fmt::format("/proc/self/ns/{}", name))) seen.namespaces.emplace_back(name);
  }
  const auto cgroups = read_if_there(fmt::format("/proc/{}/cgroup", pid));
  // Version 2 is the line without controllers.
  if (const auto at = cgroups.find("0::"); at != std::string::npos && (at == 0 || cgroups[at - 1] == '\n')) {
    seen.cgroup = cgroups.substr(at + 3, cgroups.find('\n', at) - at - 3);
  }
  return seen;
}

}  // namespace fireclaw::sys

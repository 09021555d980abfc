#include "core/host/confinement.hpp"

#include <unistd.h>

#include <mutex>

#include <fmt/format.h>

#include "fireclaw/error.hpp"
#include "state/settings/config.hpp"
#include "sys/process.hpp"
#include "sys/sandbox/devices.hpp"

namespace fireclaw::core {
namespace {

/// One lock a user, for all home folders of the host. It goes with the host's next start, as machines do.
constexpr const char* user_locks = "/run/fireclaw/users";

/// The folder of these locks; where that cannot be had, as in some containers, the home folder's own.
std::filesystem::path lock_folder(const Host::Impl& host) {
  std::filesystem::path folder{user_locks};
  try {
    sys::make_directories(folder);
    if (::access(folder.c_str(), W_OK) == 0) return folder;
  } catch (const Error& problem) {
    host.logger.debug(problem.what());
  }
  folder = host.layout.home() / "locks" / "users";
  sys::make_directories(folder);
  return folder;
}

bool needs_kvm(const std::string& engine) { return engine != "qemu-tcg"; }

/// Root of a user namespace may not go through folders of other users, as the caller may. Empty, or why a process so
/// confined cannot be shown the home folder.
std::string problem_with_home(const Host::Impl& host, sys::Confinement level) {
  const auto program = sys::find_program("true", host.options.search_path);
  if (!program) return {};
  try {
    sys::SpawnSpec spec;
    spec.argv = {program->string()};
    spec.sandbox.emplace();
    spec.sandbox->level = level;
    spec.sandbox->entries = sys::program_entries(*program);
    spec.sandbox->entries.push_back({sys::SandboxEntry::Kind::ReadOnly, host.layout.home().lexically_normal()});
    (void)sys::Child::spawn(spec).wait(Deadline::never());
    return {};
  } catch (const Error& problem) {
    return problem.what();
  }
}

/// Whether a found confinement still holds.
bool is_current(const sys::Confinable& found, const state::SandboxSettings& settings) {
  return found.context == sys::confinement_context() && (!found.ids || *found.ids == settings.users);
}

}  // namespace

sys::Confinable find_confinement(const Host::Impl& host, const state::SandboxSettings& settings) {
  auto found = sys::find_confinement(settings.users, host.options.search_path);
  // Other users could have ids too, but of newuidmap, which takes longer than all the rest of a start.
  if (::geteuid() != 0) {
    found.ids.reset();
    found.ids_obstacle = "only root gives machines their own users";
  }
  if (found.level == sys::Confinement::Full) {
    found.obstacle = problem_with_home(host, sys::Confinement::Full);
    if (!found.obstacle.empty()) {
      const bool landlock = problem_with_home(host, sys::Confinement::Landlock).empty();
      found.level = landlock ? sys::Confinement::Landlock : sys::Confinement::None;
      found.ids_obstacle = found.obstacle;
      found.ids.reset();
    }
  }
  return found;
}

const sys::Confinable& confinement(const Host::Impl& host) {
  std::call_once(host.confinement_once, [&] {
    auto config = host.config();
    host.confinement = config.confinement && is_current(*config.confinement, config.sandbox)
                           ? std::move(*config.confinement)
                           : find_confinement(host, config.sandbox);
  });
  return host.confinement;
}

void require_confinement(const Host::Impl& host) {
  const auto& found = confinement(host);
  if (found.level == sys::Confinement::Full || !host.config().sandbox.required) return;
  throw Error{ErrorCode::Unsupported,
              fmt::format("engines cannot be confined here ({}), and config.json requires it (sandbox.required)",
                          found.obstacle)};
}

std::string user_obstacle(const sys::IdRange& ids, const std::string& engine) {
  if (needs_kvm(engine)) {
    const auto obstacle = sys::device_obstacle("/dev/kvm", ids.first);
    if (!obstacle.empty()) return obstacle + "; give it to a group: chgrp kvm /dev/kvm && chmod 660 /dev/kvm";
  }
  // Firecracker opens its tap by name; QEMU is given a descriptor.
  if (engine != "firecracker") return {};
  const auto obstacle = sys::device_obstacle("/dev/net/tun", ids.first);
  return obstacle.empty() ? obstacle : obstacle + "; let all open it: chmod 666 /dev/net/tun";
}

std::optional<EngineUser> claim_user(const Host::Impl& host, const std::string& engine) {
  const auto& found = confinement(host);
  if (!found.ids || !user_obstacle(*found.ids, engine).empty()) return std::nullopt;
  const auto folder = lock_folder(host);
  // The lowest first, so that there are as many locks as there were machines at once.
  for (std::uint32_t i = 0; i < found.ids->count; ++i) {
    const auto id = found.ids->first + i;
    if (auto lock = sys::FileLock::try_acquire(folder / std::to_string(id), sys::FileLock::Mode::Exclusive)) {
      return EngineUser{id, std::move(*lock)};
    }
  }
  throw Error{
      ErrorCode::InvalidState,
      fmt::format("all {} users for machines are taken; allow more in config.json: sandbox.users", found.ids->count)};
}

}  // namespace fireclaw::core

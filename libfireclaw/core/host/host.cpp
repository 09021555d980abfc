#include <dlfcn.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include <fmt/format.h>

#include "core/host/engines.hpp"
#include "core/host/impl.hpp"
#include "fireclaw/error.hpp"
#include "fireclaw/host.hpp"
#include "state/settings/config.hpp"
#include "sys/file.hpp"
#include "sys/folder.hpp"

namespace fireclaw {
namespace {

/// What is in it (memory of machines, keys, sockets that control them) is for one user alone.
void check_owner(const std::filesystem::path& home) {
  struct stat info {};
  if (::stat(home.c_str(), &info) != 0) return;
  if (info.st_uid != ::geteuid()) {
    throw Error{ErrorCode::PermissionDenied,
                fmt::format("{} belongs to user {}, not to you (user {}); name another folder with --home",
                            home.native(), info.st_uid, ::geteuid())};
  }
  if (S_ISDIR(info.st_mode) && (info.st_mode & 077) != 0) {
    throw Error{
        ErrorCode::PermissionDenied,
        fmt::format("others may enter {0} (mode {1:04o}), and with it all machines, their memory and keys; close "
                    "it with: chmod 700 {0}",
                    home.native(), info.st_mode & 07777)};
  }
}

/// What is installed (and laid out in a build tree) at `place` below the prefix of this library: LIBDIR is one or two
/// levels below that. Empty if it is not there.
std::filesystem::path beside_library(const std::filesystem::path& place) {
  Dl_info info{};
  if (::dladdr(reinterpret_cast<void*>(&beside_library), &info) == 0 || info.dli_fname == nullptr) return {};
  std::error_code error;
  auto folder = std::filesystem::canonical(info.dli_fname, error).parent_path();
  for (int level = 0; level < 3 && folder.has_relative_path(); ++level) {
    folder = folder.parent_path();
    if (auto candidate = folder / place; std::filesystem::exists(candidate, error)) {
      return candidate;
    }
  }
  return {};
}

}  // namespace

Host::Impl::Impl(HostOptions with)
    : options{std::move(with)},
      logger{options.log},
      layout{options.home},
      images{layout.images(), logger},
      runs{layout.runs(), logger},
      snapshots{layout.snapshots(), layout.home() / "locks", logger},
      workspaces{layout.workspaces(), layout.home() / "locks"},
      endings{layout.lock("ending-engine.json")} {}

std::filesystem::path Host::Impl::guestd() const {
  if (!options.guestd.empty()) return options.guestd;
  auto found = beside_library("libexec/fireclaw/guestd");
  if (found.empty()) {
    throw Error{ErrorCode::NotFound, "guestd is not installed beside the library; reinstall fireclaw"};
  }
  return found;
}

std::filesystem::path Host::Impl::netd() const {
  auto found = beside_library("libexec/fireclaw/fireclaw-netd");
  if (found.empty()) {
    throw Error{ErrorCode::NotFound, "fireclaw-netd is not installed beside the library; reinstall fireclaw"};
  }
  return found;
}

std::filesystem::path Host::Impl::agent() const {
  if (!options.agent.empty()) return options.agent;
  auto found = beside_library("share/fireclaw/agent");
  if (found.empty()) {
    throw Error{ErrorCode::NotFound, "the agent is not installed beside the library; reinstall fireclaw"};
  }
  return found;
}

void Host::Impl::require_setup() const {
  if (config().set_up_by.empty()) {
    throw Error{ErrorCode::InvalidState,
                fmt::format("{} has not been set up; run: fireclaw setup", layout.home().native())};
  }
}

state::Config Host::Impl::config() const {
  if (const auto known = settled.with([](const auto& value) { return value; })) return *known;
  return state::read_config(layout.config());
}

sys::FileLock Host::Impl::lock_config(std::chrono::seconds limit) const {
  return sys::FileLock::acquire(layout.lock("config"), sys::FileLock::Mode::Exclusive, Deadline::after(limit),
                                "config.json");
}

void Host::Impl::learn_engines(const state::Config& config) const {
  settled.with([&](auto& known) {
    if (!known) return;
    auto now = *known;
    now.engines = config.engines;
    now.confinement = config.confinement;
    known = std::make_shared<const state::Config>(std::move(now));
  });
}

core::SettledHost::SettledHost(const Host::Impl& of) : host{std::make_shared<Host::Impl>(of.options)} {
  host->endings = of.endings;
  host->settled.with([&](auto& value) { value = std::make_shared<const state::Config>(of.config()); });
}

core::SettledHost::~SettledHost() {
  host->settled.with([](auto& value) { value.reset(); });
}

Host::Host(std::shared_ptr<Impl> impl) : impl_{std::move(impl)} {}

Host Host::open(HostOptions options) {
  if (!options.home.is_absolute()) {
    throw Error{ErrorCode::InvalidArgument,
                fmt::format("the home folder must be an absolute path, not '{}'", options.home.native())};
  }
  check_owner(options.home);
  auto impl = std::make_shared<Impl>(std::move(options));
  // All folders are made at once, so one look at the last of them is enough.
  if (!std::filesystem::is_directory(impl->layout.home() / "locks")) {
    for (const auto& folder :
         {impl->layout.home(), impl->layout.images(), impl->layout.snapshots(), impl->layout.templates(),
          impl->layout.keys(), impl->layout.runs(), impl->layout.home() / "locks"}) {
      sys::make_durable_directories(folder);
    }
  }
  return Host{std::move(impl)};
}

const std::filesystem::path& Host::home() const { return impl_->layout.home(); }

bool Host::is_set_up() const { return !impl_->config().set_up_by.empty(); }

std::vector<EngineVerdict> Host::engines() const {
  std::vector<EngineVerdict> verdicts;
  for (auto& entry : impl_->config().engines) verdicts.push_back(std::move(entry.verdict));
  return verdicts;
}

}  // namespace fireclaw

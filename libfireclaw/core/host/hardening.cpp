#include "core/host/hardening.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>

#include <fmt/format.h>

#include "core/host/confinement.hpp"
#include "core/host/engines.hpp"
#include "fireclaw/error.hpp"
#include "state/settings/config.hpp"
#include "sys/cgroup.hpp"
#include "sys/file.hpp"
#include "vmm/firecracker/driver.hpp"
#include "vmm/qemu/driver.hpp"
#include "vmm/qemu/known_holes.hpp"

namespace fireclaw::core {
namespace {

constexpr std::chrono::seconds start_limit{20};
constexpr std::chrono::seconds version_limit{10};

std::string first_line(const std::filesystem::path& file) {
  try {
    const auto text = sys::read_file(file, std::size_t{64} << 10);
    return text.substr(0, text.find('\n'));
  } catch (const Error&) {
    return {};
  }
}

bool has_swap(const std::filesystem::path& root) {
  try {
    const auto text = sys::read_file(root / "proc/swaps", std::size_t{64} << 10);
    // Below the headings, each line is an area.
    const auto end = text.find('\n');
    return end != std::string::npos && end + 1 < text.size();
  } catch (const Error&) {
    return false;
  }
}

Check check_sandbox(const Host::Impl& host, const EngineVerdict& verdict, const image::Entry& image) {
  Check check{fmt::format("sandbox of {}", verdict.engine), CheckStatus::Ok, {}, {}};
  const auto& found = confinement(host);
  try {
    const auto seen = see_engine(host, verdict, image, Deadline::after(std::chrono::nanoseconds{start_limit}));
    check.detail = in_words(seen, ::geteuid());
    if (seen.user == ::geteuid() && ::geteuid() == 0) {
      check.status = CheckStatus::Warning;
      check.remedy = found.ids ? user_obstacle(*found.ids, verdict.engine) : found.ids_obstacle;
    }
  } catch (const Error& problem) {
    check.status = CheckStatus::Warning;
    check.detail = problem.what();
  }
  if (found.level != sys::Confinement::Full) {
    check.status = CheckStatus::Warning;
    check.detail += fmt::format("; no namespaces: {}", found.obstacle);
  }
  if (verdict.engine == "qemu-tcg") {
    check.status = CheckStatus::Warning;
    check.detail += "; emulation is not a security boundary: use KVM for what you do not trust";
  }
  return check;
}

Check check_cgroups() {
  const auto place = sys::find_cgroups();
  if (!place.folder.empty()) {
    return {"cgroups of machines", CheckStatus::Ok, fmt::format("in {}", place.folder.native()), {}};
  }
  return {"cgroups of machines",
          CheckStatus::Warning,
          fmt::format("none, so only a machine's size limits its memory: {}", place.obstacle),
          {}};
}

}  // namespace

std::vector<Check> check_sharing(const std::filesystem::path& root) {
  std::vector<Check> checks;
  const auto add = [&](bool shared, const char* name, const char* problem, const char* remedy) {
    checks.push_back(
        {name, shared ? CheckStatus::Warning : CheckStatus::Ok, shared ? problem : "off", shared ? remedy : ""});
  };
  add(has_swap(root), "swap", "on: machines' memory can be written to a disk, and stay there", "swapoff -a");
  const auto ksm = first_line(root / "sys/kernel/mm/ksm/run");
  add(!ksm.empty() && ksm != "0", "merging of memory (KSM)",
      "on: a machine can learn what others have in memory from the time that a write takes",
      "echo 2 > /sys/kernel/mm/ksm/run");
  add(first_line(root / "sys/devices/system/cpu/smt/active") == "1", "processor threads (SMT)",
      "on: two machines on the threads of one core can learn about each other from what they share",
      "echo off > /sys/devices/system/cpu/smt/control");
  return checks;
}

std::string in_words(const sys::ConfinementSeen& seen, uid_t caller) {
  auto text =
      seen.user == caller ? fmt::format("the caller's user {}", seen.user) : fmt::format("own user {}", seen.user);
  if (seen.namespaces.empty()) {
    text += ", the caller's namespaces";
  } else {
    text += fmt::format(", own {}", fmt::join(seen.namespaces, " "));
  }
  text += seen.capabilities ? ", with capabilities" : ", no capabilities";
  if (!seen.no_new_privileges) text += ", may gain privileges";
  text += seen.seccomp_filters == 0 ? ", no seccomp filter" : ", seccomp";
  return text;
}

std::vector<Check> check_sandboxes(const Host::Impl& host) {
  std::vector<Check> checks;
  std::optional<image::Entry> image;
  try {
    image = host.images.find(std::string{built_in_image});
  } catch (const Error& problem) {
    // The image's own check says it.
    host.logger.debug(problem.what());
  }
  if (!image) return checks;
  for (const auto& entry : host.config().engines) {
    if (!entry.verdict.works || !state::is_current(entry)) continue;
    if (entry.verdict.kernel_sha256 != image->manifest.kernel.sha256) continue;
    checks.push_back(check_sandbox(host, entry.verdict, *image));
  }
  checks.push_back(check_cgroups());
  return checks;
}

std::vector<Check> check_holes(const Host::Impl& host) {
  std::vector<Check> checks;
  std::vector<std::filesystem::path> seen;
  for (const auto& entry : host.config().engines) {
    const auto& verdict = entry.verdict;
    if (!verdict.works || std::ranges::find(seen, verdict.binary) != seen.end()) continue;
    seen.push_back(verdict.binary);
    std::string hole;
    try {
      hole = verdict.engine == "firecracker"
                 ? vmm::firecracker::known_hole(verdict.version)
                 : vmm::qemu::known_hole(verdict.version,
                                         vmm::qemu::binary_package(verdict.binary, Deadline::after(version_limit)));
    } catch (const Error& problem) {
      host.logger.debug(problem.what());
    }
    if (!hole.empty()) {
      checks.push_back({fmt::format("holes of {} {}", verdict.engine, verdict.version), CheckStatus::Warning, hole,
                        "upgrade it, then: fireclaw setup"});
    }
  }
  return checks;
}

}  // namespace fireclaw::core

#include "sys/sandbox/sandbox.hpp"

#include <fmt/format.h>

#include "base/number.hpp"

namespace fireclaw::sys {
namespace {

std::string_view word_of(SandboxEntry::Kind kind) {
  switch (kind) {
    case SandboxEntry::Kind::Folder: return "folder";
    case SandboxEntry::Kind::ReadOnly: return "read";
    case SandboxEntry::Kind::ReadWrite: return "write";
    case SandboxEntry::Kind::Device: return "device";
    case SandboxEntry::Kind::Link: return "link";
  }
  return {};
}

}  // namespace

std::string_view to_string(Confinement level) noexcept {
  switch (level) {
    case Confinement::None: return "none";
    case Confinement::Landlock: return "landlock";
    case Confinement::Full: return "full";
  }
  return {};
}

std::optional<Confinement> confinement_from_string(std::string_view text) noexcept {
  for (const auto level : {Confinement::None, Confinement::Landlock, Confinement::Full}) {
    if (text == to_string(level)) return level;
  }
  return std::nullopt;
}

std::vector<std::string> describe(const Sandbox& plan) {
  std::vector<std::string> lines;
  lines.push_back(fmt::format("level {}", to_string(plan.level)));
  if (plan.level == Confinement::Full) {
    lines.push_back(fmt::format("namespaces user mnt pid ipc uts{}", plan.own_network ? " net" : ""));
  }
  if (plan.level == Confinement::Landlock) {
    lines.push_back(fmt::format("landlock files{}", plan.own_network ? " tcp" : ""));
  }
  lines.push_back(plan.user ? fmt::format("user {}", *plan.user) : "user of the caller");
  lines.emplace_back("capabilities none, no new privileges");
  lines.push_back(fmt::format("limits file {} open {} locked {} core 0", plan.limits.file_bytes, plan.limits.open_files,
                              plan.limits.locked_bytes));
  if (!plan.cgroup.empty()) lines.push_back(fmt::format("cgroup {}", plan.cgroup.string()));
  for (const auto& entry : plan.entries) {
    lines.push_back(
        fmt::format("{} {}{}", word_of(entry.kind), entry.path.string(), entry.optional ? " if it is there" : ""));
  }
  return lines;
}

std::optional<IdRange> parse_subordinate_ids(std::string_view file, std::string_view name, uid_t uid) {
  const auto number = std::to_string(uid);
  for (std::string_view rest = file; !rest.empty();) {
    const auto end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    const auto first = line.find(':');
    if (first == std::string_view::npos) continue;
    const auto second = line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    const auto who = line.substr(0, first);
    if (who != number && (name.empty() || who != name)) continue;
    const auto begin = parse_number<uid_t>(line.substr(first + 1, second - first - 1));
    const auto count = parse_number<std::uint32_t>(line.substr(second + 1));
    if (begin && count && *count > 0) return IdRange{*begin, *count};
  }
  return std::nullopt;
}

}  // namespace fireclaw::sys

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "core/agents/impl.hpp"
#include "core/agents/outside.hpp"
#include "core/host/engines.hpp"
#include "core/host/hardening.hpp"
#include "core/host/image_build.hpp"
#include "fireclaw/collections.hpp"
#include "fireclaw/error.hpp"
#include "fireclaw/gateway.hpp"
#include "image/roots/debian_agent.hpp"
#include "state/settings/config.hpp"
#include "sys/fd.hpp"
#include "sys/file.hpp"
#include "sys/process.hpp"

namespace fireclaw {
namespace {

constexpr std::uint64_t enough_free_bytes = std::uint64_t{1} << 30;

struct Tool {
  std::string_view program;
  std::string_view package;
  std::string_view purpose;
};
/// What builds images and makes disks; none of them is needed to run a plain image.
constexpr Tool tools[] = {
    {"sqfstar", "squashfs-tools", "building images"},
    {"busybox", "busybox-static", "building the built-in image"},
    {"dpkg-deb", "dpkg", "unpacking the distribution's kernel"},
    {"ssh-keygen", "openssh-client", "making keys"},
    {"mmdebstrap", "mmdebstrap", "image build --debian"},
    {"mke2fs", "e2fsprogs", "making disks"},
    {"e2fsck", "e2fsprogs", "checking disks before use"},
    {"resize2fs", "e2fsprogs", "workspace resize"},
    {"skopeo", "skopeo", "image build --oci"},
    {"umoci", "umoci", "image build --oci"},
};

Check check_home(const Host::Impl& host) {
  const auto& home = host.layout.home();
  const auto free = sys::free_bytes(home);
  Check check{"home", CheckStatus::Ok, fmt::format("{}, {} MiB free", home.native(), free >> 20), {}};
  // Asked of the kernel, which also knows of file systems that nobody can write to.
  for (const auto& folder : {home, host.layout.runs(), host.layout.snapshots(), home / "locks"}) {
    if (::faccessat(AT_FDCWD, folder.c_str(), W_OK | X_OK, AT_EACCESS) == 0) continue;
    const int error = errno;
    check.status = CheckStatus::Missing;
    check.detail = sys::system_error(error, fmt::format("{} cannot be written to", folder.native())).what();
    check.remedy = error == EROFS ? "mount it for writing, or name another folder with --home"
                                  : fmt::format("chown and chmod u+rwx {}", folder.native());
    return check;
  }
  if (free < enough_free_bytes) {
    check.status = CheckStatus::Warning;
    check.remedy = "make room on that file system, or name another folder with --home";
  }
  return check;
}

Check check_guestd(const Host::Impl& host) {
  try {
    return {"guestd", CheckStatus::Ok, host.guestd().native(), {}};
  } catch (const Error& problem) {
    return {"guestd", CheckStatus::Missing, problem.what(), "reinstall fireclaw"};
  }
}

Check check_engine(const state::Config::Engine& entry) {
  const auto& verdict = entry.verdict;
  Check check;
  check.name = fmt::format("engine {} with kernel {}", verdict.engine, verdict.kernel_release);
  if (verdict.works && state::is_current(entry)) {
    check.detail =
        fmt::format("{} {} boots it in {} ms", verdict.binary.native(), verdict.version, verdict.boot_time.count());
  } else if (verdict.works) {
    check.status = CheckStatus::Warning;
    check.detail =
        fmt::format("{} has changed since it was tried; the next machine tries it again", verdict.binary.native());
    check.remedy = "fireclaw setup";
  } else {
    check.status = CheckStatus::Warning;
    check.detail = verdict.reason;
  }
  return check;
}

void check_image(const Host::Impl& host, std::vector<Check>& checks) {
  const std::string name{built_in_image};
  Check check{"image " + name, CheckStatus::Ok, {}, {}};
  try {
    const auto image = host.images.open(name);
    check.detail = fmt::format("kernel {} ({})", image.manifest.kernel.release, image.manifest.kernel.source);
    if (!core::is_current(host, image, core::busybox_recipe(host).value_or(image.manifest.recipe))) {
      check.status = CheckStatus::Warning;
      check.detail = "another version of fireclaw, or another busybox, made it";
      check.remedy = "fireclaw upgrade";
    }
    checks.push_back(check);
    const auto engine = core::find_engine(host, image);
    if (engine) {
      checks.push_back({"engine", CheckStatus::Ok, fmt::format("{} is used", engine->engine), {}});
    } else {
      const bool tried_by_itself = !core::engines_to_try(host, image).empty();
      checks.push_back({"engine", tried_by_itself ? CheckStatus::Warning : CheckStatus::Missing,
                        fmt::format("none ({}) has been seen to boot this image's kernel{}",
                                    to_string(host.options.engine), tried_by_itself ? " as it is now" : ""),
                        "fireclaw setup"});
    }
  } catch (const Error& problem) {
    check.status = CheckStatus::Missing;
    check.detail = problem.what();
    // A folder that is there but no image is in setup's way.
    check.remedy = problem.code() == ErrorCode::NotFound && !std::filesystem::exists(host.layout.images() / name)
                       ? "fireclaw setup"
                       : fmt::format("fireclaw image remove {} && fireclaw setup", name);
    checks.push_back(check);
  }
}

/// Only agents need it.
Check check_agent_image(const Host::Impl& host) {
  Check check{fmt::format("image {}", agent_image), CheckStatus::Warning, {}, "fireclaw setup --agents"};
  try {
    const auto image = host.images.find(std::string{agent_image});
    if (!image) {
      check.detail = "not built; agents run in it";
    } else if (!core::is_current(host, *image, image::agent_recipe({}, host.agent()))) {
      check.detail = "another version of fireclaw made it";
      check.remedy = core::has_own_packages(*image)
                         ? fmt::format("fireclaw image build {} --replace, with the packages of {}", agent_image,
                                       image->manifest.source)
                         : "fireclaw upgrade";
    } else {
      return {check.name,
              CheckStatus::Ok,
              fmt::format("kernel {} ({})", image->manifest.kernel.release, image->manifest.kernel.source),
              {}};
    }
  } catch (const Error& problem) {
    check.detail = problem.what();
    check.remedy = fmt::format("fireclaw image remove {} && fireclaw setup --agents", agent_image);
  }
  return check;
}

/// Folders among the images that are none. The built-in image has its own check.
void check_broken_images(const Host::Impl& host, std::vector<Check>& checks) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator{host.layout.images(), error}) {
    const auto name = entry.path().filename().native();
    if (name.starts_with('.') || !entry.is_directory() || name == built_in_image || name == agent_image) continue;
    try {
      static_cast<void>(host.images.find(name));
    } catch (const Error& problem) {
      checks.push_back({"image " + name, CheckStatus::Warning, problem.what(), "fireclaw image remove " + name});
    }
  }
}

/// What agents need outside of their machines: of those there are, or of one that would be started from a template.
void check_outside(const Host& handle, const Host::Impl& host, std::vector<Check>& checks) {
  AgentManager::Impl agents{handle};
  auto records = agents.agents.list();
  if (records.empty()) {
    const auto all = agents.templates.list();
    if (all.empty()) return;
    state::AgentRecord record;
    record.name = record.template_name = all.front().name;
    records.push_back(std::move(record));
  }
  std::vector<core::OutsideNeeds> tried;
  std::set<std::string> said;
  for (const auto& record : records) {
    try {
      const auto mode = record.network ? network_mode_from_string(*record.network) : handle.network().best_mode().mode;
      const auto agent = agents.resolve(record, agents.require_template(record.template_name), mode);
      const auto needs = core::read_needs(json::Value::parse(agent.bot_json, "the bot's configuration"));
      if (std::ranges::find(tried, needs) != tried.end()) continue;
      tried.push_back(needs);
      for (const auto& trouble : core::find_outside_trouble(host, needs, record.name)) {
        if (!said.insert(trouble.problem).second) continue;
        checks.push_back(
            {fmt::format("agents {}", trouble.what), CheckStatus::Warning, trouble.problem, trouble.remedy});
      }
    } catch (const Error& problem) {
      checks.push_back({"agent " + record.name, CheckStatus::Warning, problem.what(), {}});
    }
  }
  if (said.empty() && !tried.empty()) {
    checks.push_back({"agents outside",
                      CheckStatus::Ok,
                      fmt::format("IRC at {}:{} and model {} at {} answer", tried.front().irc_host,
                                  tried.front().irc_port, tried.front().model, tried.front().llm_url),
                      {}});
  }
}

/// Machines run without it, so nothing of it is "missing".
void check_network(const Host& host, const Logger& logger, std::vector<Check>& checks) {
  try {
    const auto info = host.network().info();
    for (const auto& obstacle : info.obstacles) {
      checks.push_back({"network nat", CheckStatus::Warning, obstacle.problem, obstacle.remedy});
    }
    if (!info.obstacles.empty()) return;
    checks.push_back({"network nat",
                      CheckStatus::Ok,
                      fmt::format("{} on {}{}, {} of {} addresses on loan", info.subnet, info.bridge,
                                  info.up ? "" : " (not up)", info.leases.size(), info.capacity),
                      {}});
    for (const auto& rule : info.foreign_rules) {
      checks.push_back({"network firewall", CheckStatus::Warning, rule.problem, rule.remedy});
    }
    for (const auto& problem : host.gateway().info().problems) {
      checks.push_back({"network gateway", CheckStatus::Warning, problem,
                        "free what it needs; the gateway tries again every ten seconds"});
    }
  } catch (const Error& problem) {
    logger.debug(problem.what());
    checks.push_back({"network nat", CheckStatus::Warning, problem.what(), "fix or remove that file"});
  }
}

Check check_tool(const Host::Impl& host, const Tool& tool) {
  Check check{std::string{tool.program}, CheckStatus::Ok, {}, {}};
  if (const auto found = sys::find_program(check.name, host.options.search_path)) {
    check.detail = found->native();
    return check;
  }
  check.status = CheckStatus::Warning;
  check.detail = fmt::format("not installed; needed for {}", tool.purpose);
  check.remedy = fmt::format("apt-get install {}", tool.package);
  return check;
}

}  // namespace

std::vector<Check> Host::doctor() const {
  std::vector<Check> checks;
  checks.push_back(check_home(*impl_));
  checks.push_back(check_guestd(*impl_));
  const auto config = impl_->config();
  const bool done = !config.set_up_by.empty();
  checks.push_back({"setup", done ? CheckStatus::Ok : CheckStatus::Missing,
                    done ? fmt::format("done by fireclaw {}", config.set_up_by) : "not done yet",
                    done ? "" : "fireclaw setup"});
  if (done) check_image(*impl_, checks);
  if (done) checks.push_back(check_agent_image(*impl_));
  check_broken_images(*impl_, checks);
  bool kvm_works = core::kvm_problem().empty();
  bool has_firecracker = false;
  for (const auto& entry : config.engines) {
    if (core::may_be_used(*impl_, config, entry.verdict.engine)) checks.push_back(check_engine(entry));
    if (entry.verdict.engine == "qemu-kvm") kvm_works = kvm_works && entry.verdict.works;
    if (entry.verdict.engine == "firecracker") has_firecracker = has_firecracker || !entry.verdict.binary.empty();
  }
  if (done && kvm_works && !has_firecracker && core::may_be_used(*impl_, config, "firecracker")) {
    checks.push_back({"firecracker", CheckStatus::Warning, "KVM works here, and there is no Firecracker",
                      "fireclaw setup --firecracker URL --firecracker-sha256 HEX (a release's .tgz)"});
  }
  // An engine that could not even be tried has no verdict before setup.
  if (config.engines.empty()) {
    for (auto& verdict : core::find_candidates(*impl_).hopeless) {
      checks.push_back({"engine " + verdict.engine, CheckStatus::Warning, std::move(verdict.reason), {}});
    }
  }
  for (const auto& snapshot : snapshots().list()) {
    Check check{"snapshot " + snapshot.name,
                CheckStatus::Ok,
                fmt::format("image {}, {}, {} CPU(s), {} MiB{}", snapshot.image, snapshot.engine, snapshot.cpus,
                            snapshot.memory_mib, snapshot.network_device ? ", network device" : ""),
                {}};
    if (!snapshot.usable) {
      check.status = CheckStatus::Warning;
      check.detail = snapshot.reason;
      if (snapshot.recoverable) {
        check.detail += snapshot.agent.empty() ? "; it is made again when it is next used"
                                               : "; its agent starts again from its disks";
      } else {
        check.remedy = fmt::format("fireclaw snapshot remove {}", snapshot.name);
      }
    }
    checks.push_back(std::move(check));
  }
  const auto append = [&](std::vector<Check> more) {
    checks.insert(checks.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
  };
  append(core::check_holes(*impl_));
  if (done) append(core::check_sandboxes(*impl_));
  append(core::check_sharing());
  check_network(*this, impl_->logger, checks);
  if (std::filesystem::exists(impl_->layout.images() / agent_image)) check_outside(*this, *impl_, checks);
  for (const auto& tool : tools) checks.push_back(check_tool(*impl_, tool));
  return checks;
}

}  // namespace fireclaw

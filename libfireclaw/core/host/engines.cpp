#include "core/host/engines.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "base/scope.hpp"
#include "core/host/launch_plan.hpp"
#include "fireclaw/error.hpp"
#include "state/config.hpp"
#include "sys/fd.hpp"
#include "sys/file.hpp"
#include "sys/process.hpp"
#include "vmm/firecracker/driver.hpp"
#include "vmm/qemu/driver.hpp"

namespace fireclaw::core {
namespace {

constexpr std::string_view firecracker_name = "firecracker";
constexpr std::string_view qemu_kvm_name = "qemu-kvm";
constexpr std::string_view qemu_tcg_name = "qemu-tcg";
/// Best first.
constexpr std::array engine_order = {firecracker_name, qemu_kvm_name, qemu_tcg_name};

/// A kernel that boots under KVM is up in about a second; that one hangs must be found out within 15 s in all.
constexpr std::chrono::milliseconds kvm_boot_limit{12'000};
constexpr std::chrono::milliseconds tcg_boot_limit{90'000};
constexpr std::chrono::milliseconds version_limit{10'000};

bool allows(Engine choice, std::string_view engine) {
  switch (choice) {
    case Engine::Auto: return true;
    case Engine::Firecracker: return engine == firecracker_name;
    case Engine::Qemu: return engine == qemu_kvm_name || engine == qemu_tcg_name;
    case Engine::QemuKvm: return engine == qemu_kvm_name;
    case Engine::QemuTcg: return engine == qemu_tcg_name;
  }
  return false;
}

/// Why KVM cannot be used, or empty.
std::string kvm_problem() {
  const int fd = ::open("/dev/kvm", O_RDWR | O_CLOEXEC);
  if (fd >= 0) {
    const sys::Fd close_it{fd};
    return {};
  }
  if (errno == ENOENT) return "there is no /dev/kvm: no hardware virtualization here";
  if (errno == EACCES) return "/dev/kvm is not yours to open; run: sudo usermod -aG kvm $USER, and log in again";
  return fmt::format("/dev/kvm: {}", std::strerror(errno));
}

std::optional<std::filesystem::path> qemu_program(const HostOptions& options) {
  if (!options.qemu.empty()) return options.qemu;
  return sys::find_program("qemu-system-x86_64", options.search_path);
}

std::optional<std::filesystem::path> firecracker_program(const HostOptions& options) {
  if (!options.firecracker.empty()) return options.firecracker;
  return sys::find_program("firecracker", options.search_path);
}

EngineVerdict hopeless(std::string_view engine, std::string reason) {
  EngineVerdict verdict;
  verdict.engine = engine;
  verdict.reason = std::move(reason);
  return verdict;
}

void add_qemu(const Host::Impl& host, const std::string& no_kvm, Candidates& found) {
  const auto program = qemu_program(host.options);
  if (!program) {
    const std::string reason = "qemu-system-x86_64 is not installed; run: apt-get install qemu-system-x86";
    if (allows(host.options.engine, qemu_kvm_name)) found.hopeless.push_back(hopeless(qemu_kvm_name, reason));
    if (allows(host.options.engine, qemu_tcg_name)) found.hopeless.push_back(hopeless(qemu_tcg_name, reason));
    return;
  }
  EngineVerdict verdict;
  verdict.binary = *program;
  try {
    verdict.version = vmm::qemu::binary_version(*program, Deadline::after(version_limit));
  } catch (const Error& problem) {
    found.hopeless.push_back(hopeless(qemu_tcg_name, problem.what()));
    return;
  }
  verdict.engine = qemu_kvm_name;
  if (allows(host.options.engine, qemu_kvm_name)) {
    if (no_kvm.empty()) {
      found.to_try.push_back({verdict, vmm::qemu::candidate_cpu_models(vmm::Accelerator::Kvm), kvm_boot_limit});
    } else {
      found.hopeless.push_back(hopeless(qemu_kvm_name, no_kvm));
    }
  }
  verdict.engine = qemu_tcg_name;
  if (allows(host.options.engine, qemu_tcg_name)) {
    found.to_try.push_back({verdict, vmm::qemu::candidate_cpu_models(vmm::Accelerator::Tcg), tcg_boot_limit});
  }
}

void add_firecracker(const Host::Impl& host, const std::string& no_kvm, Candidates& found) {
  if (!allows(host.options.engine, firecracker_name)) return;
  const auto program = firecracker_program(host.options);
  if (!program) {
    found.hopeless.push_back(
        hopeless(firecracker_name, "no firecracker program was found; name it with --firecracker"));
    return;
  }
  if (!no_kvm.empty()) {
    found.hopeless.push_back(hopeless(firecracker_name, no_kvm));
    return;
  }
  EngineVerdict verdict;
  verdict.engine = firecracker_name;
  verdict.binary = *program;
  try {
    verdict.version = vmm::firecracker::binary_version(*program, Deadline::after(version_limit));
  } catch (const Error& problem) {
    found.hopeless.push_back(hopeless(firecracker_name, problem.what()));
    return;
  }
  found.to_try.push_back({verdict, {std::string{}}, kvm_boot_limit});
}

/// One boot, from the engine's start to the guest's greeting. Throws what went wrong.
std::chrono::milliseconds boot_once(const Host::Impl& host, const EngineVerdict& verdict, const image::Entry& image,
                                    std::chrono::milliseconds limit, const std::stop_token& stop) {
  const auto driver = make_driver(host, verdict);
  const Shape shape;
  check_shape(shape, driver->capabilities(), verdict.engine);
  state::RunRecord record;
  record.owner = sys::current_process();
  record.image = image.manifest.name;
  record.hostname = "probe";
  record.memory_mib = shape.memory_mib;
  record.network = to_string(NetworkMode::None);
  record.created = std::chrono::system_clock::now();
  record.engine = verdict.engine;
  record = host.runs.create(record);
  const ScopeGuard remove{[&] {
    try {
      host.runs.remove(record.id);
    } catch (const Error& problem) {
      host.logger.warning(problem.what());
    }
  }};
  const auto spec = make_launch_spec(host, image, shape, record.id, true, driver->capabilities());
  const auto started = std::chrono::steady_clock::now();
  const auto deadline = Deadline::after(std::chrono::nanoseconds{limit});
  const auto instance = driver->launch(spec, {deadline, stop, {}});
  try {
    auto channel = instance->connect_guest(deadline, stop);
    const auto session = guest::Session::open(std::move(channel.stream), std::move(channel.claim),
                                              make_identity("probe"), deadline, stop);
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - started);
  } catch (const Error& problem) {
    if (problem.code() == ErrorCode::Cancelled) throw;
    if (problem.code() == ErrorCode::Timeout) {
      throw Error{ErrorCode::Timeout, fmt::format("the kernel did not come up within {} s",
                                                  std::chrono::duration_cast<std::chrono::seconds>(limit).count())};
    }
    if (const auto reason = instance->exit_reason(); !reason.empty()) throw Error{ErrorCode::Vmm, reason};
    throw;
  }
}

}  // namespace

std::unique_ptr<vmm::Driver> make_driver(const Host::Impl& host, const EngineVerdict& verdict) {
  if (verdict.engine == firecracker_name) {
    return vmm::firecracker::make_driver({verdict.binary, verdict.version, host.logger});
  }
  if (verdict.engine == qemu_kvm_name || verdict.engine == qemu_tcg_name) {
    const auto accelerator = verdict.engine == qemu_kvm_name ? vmm::Accelerator::Kvm : vmm::Accelerator::Tcg;
    return vmm::qemu::make_driver({verdict.binary, verdict.version, accelerator, verdict.cpu_model, host.logger});
  }
  throw Error{ErrorCode::Corrupt, fmt::format("unknown engine '{}' in config.json", verdict.engine)};
}

Candidates find_candidates(const Host::Impl& host) {
  Candidates found;
  const auto no_kvm = kvm_problem();
  add_firecracker(host, no_kvm, found);
  add_qemu(host, no_kvm, found);
  return found;
}

EngineVerdict probe_engine(const Host::Impl& host, const Candidate& candidate, const image::Entry& image,
                           const std::stop_token& stop) {
  auto verdict = candidate.verdict;
  verdict.kernel_release = image.manifest.kernel.release;
  verdict.kernel_sha256 = image.manifest.kernel.sha256;
  for (const auto& cpu_model : candidate.cpu_models) {
    verdict.cpu_model = cpu_model;
    try {
      verdict.boot_time = boot_once(host, verdict, image, candidate.boot_limit, stop);
      verdict.works = true;
      verdict.reason.clear();
      return verdict;
    } catch (const Error& problem) {
      if (problem.code() == ErrorCode::Cancelled) throw;
      verdict.reason = problem.what();
      // Another CPU model may mend an engine that refuses to start; a kernel that hangs, it does not.
      if (problem.code() == ErrorCode::Timeout) break;
    }
  }
  return verdict;
}

std::optional<EngineVerdict> find_engine(const Host::Impl& host, const image::Entry& image) {
  const auto config = state::read_config(host.layout.config());
  for (const auto engine : engine_order) {
    if (!allows(host.options.engine, engine)) continue;
    for (const auto& entry : config.engines) {
      if (entry.verdict.engine == engine && entry.verdict.works &&
          entry.verdict.kernel_sha256 == image.manifest.kernel.sha256 && state::is_current(entry)) {
        return entry.verdict;
      }
    }
  }
  return std::nullopt;
}

EngineVerdict engine_named(const Host::Impl& host, const std::string& name) {
  for (const auto& entry : state::read_config(host.layout.config()).engines) {
    if (entry.verdict.engine == name && entry.verdict.works) return entry.verdict;
  }
  throw Error{ErrorCode::NotFound, fmt::format("engine '{}' is not known here; run: fireclaw setup", name)};
}

EngineVerdict choose_engine(const Host::Impl& host, const image::Entry& image) {
  if (auto found = find_engine(host, image)) return *found;
  std::string tried;
  for (const auto& entry : state::read_config(host.layout.config()).engines) {
    if (entry.verdict.kernel_sha256 != image.manifest.kernel.sha256 ||
        !allows(host.options.engine, entry.verdict.engine))
      continue;
    if (!state::is_current(entry) && entry.verdict.works) {
      tried += fmt::format("; {}: {} has changed since", entry.verdict.engine, entry.verdict.binary.native());
    } else {
      tried += fmt::format("; {}: {}", entry.verdict.engine, entry.verdict.reason);
    }
  }
  throw Error{ErrorCode::InvalidState,
              fmt::format("no engine ({}) has been seen to boot kernel {} of image '{}' here{}; run: fireclaw setup",
                          to_string(host.options.engine), image.manifest.kernel.release, image.manifest.name, tried)};
}

}  // namespace fireclaw::core

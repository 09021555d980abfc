#include "vmm/firecracker/driver.hpp"

#include <fmt/format.h>
#include <sys/utsname.h>

#include <array>
#include <mutex>

#include "base/scope.hpp"
#include "fireclaw/error.hpp"
#include "sys/digest.hpp"
#include "sys/fd.hpp"
#include "sys/file.hpp"
#include "sys/process.hpp"
#include "sys/socket.hpp"
#include "vmm/firecracker/instance.hpp"
#include "vmm/firecracker/requests.hpp"
#include "vmm/firecracker/sandbox.hpp"
#include "vmm/firecracker/start.hpp"

namespace fireclaw::vmm::firecracker {

namespace {

constexpr std::string_view engine_name = "firecracker";
constexpr std::chrono::seconds adopt_limit{2};

Version supported(std::string_view text) {
  const Version version = parse_version(text);
  if (version < oldest_version) {
    throw Error{ErrorCode::Unsupported, fmt::format("firecracker {} is too old; {}.{} or newer is needed, from "
                                                    "https://github.com/firecracker-microvm/firecracker/releases",
                                                    text, oldest_version.major, oldest_version.minor)};
  }
  return version;
}

/// The part of /proc/cpuinfo that is about the first processor.
std::string read_cpuinfo() {
  std::array<std::byte, 4096> buffer{};
  const sys::Fd file = sys::open_file("/proc/cpuinfo", 0);
  std::string text;
  while (text.find("\n\n") == std::string::npos) {
    const auto got = sys::read_some(file.get(), buffer);
    if (got <= 0) break;
    text.append(reinterpret_cast<const char*>(buffer.data()), static_cast<std::size_t>(got));
  }
  return text;
}

std::string kernel_release() {
  utsname name{};
  sys::check(::uname(&name), "uname");
  return name.release;
}

std::filesystem::path in_full(const std::filesystem::path& path) {
  return std::filesystem::absolute(path).lexically_normal();
}

/// With paths that stay what they are in another working directory.
LaunchSpec anchored(LaunchSpec spec) {
  spec.run_dir = in_full(spec.run_dir);
  spec.kernel.file = in_full(spec.kernel.file);
  if (!spec.initramfs.empty()) spec.initramfs = in_full(spec.initramfs);
  for (Drive& drive : spec.drives) drive.path = in_full(drive.path);
  return spec;
}

class FirecrackerDriver final : public Driver {
 public:
  explicit FirecrackerDriver(Options options) : options_{std::move(options)}, version_{supported(options_.version)} {
    options_.binary = in_full(options_.binary);
  }

  [[nodiscard]] std::string name() const override { return std::string{engine_name}; }
  [[nodiscard]] std::string snapshot_identity() const override {
    std::call_once(identity_once_, [this] {
      identity_ = fmt::format("firecracker {}{}; kvm on Linux {}; {}", options_.version,
                              trusts_guests_too_much(version_) ? " without entropy" : "", kernel_release(),
                              describe_cpu(read_cpuinfo()));
    });
    return identity_;
  }
  [[nodiscard]] Capabilities capabilities() const override {
    Capabilities capabilities;
    capabilities.user_network = false;
    capabilities.snapshots = !loses_vsock_after_restore(version_);
    capabilities.max_vcpus = 32;
    capabilities.elf_mmio = true;
    capabilities.bzimage_mmio = boots_bzimage(version_);
    capabilities.pci = true;
    return capabilities;
  }

  std::unique_ptr<Instance> launch(const LaunchSpec& given, const StartOptions& options) override {
    const LaunchSpec spec = anchored(given);
    const auto requests = to_requests(spec, version_);
    prepare_folder(spec);
    sys::Fd listener = sys::unix_listen(spec.run_dir / file::ready_socket);
    lend_to_read(spec, spec.kernel.file);
    if (!spec.initramfs.empty()) lend_to_read(spec, spec.initramfs);
    return start(spec, nullptr, options, Origin::Booted, std::move(listener), {requests.data(), requests.size()});
  }

  std::unique_ptr<Instance> restore(const LaunchSpec& given, const SnapshotFiles& files,
                                    const StartOptions& options) override {
    if (loses_vsock_after_restore(version_)) {
      throw Error{ErrorCode::Unsupported, fmt::format("firecracker {} restores guests that cannot be reached; use "
                                                      "1.16.1 or newer, or boot cold (--no-snapshot)",
                                                      options_.version)};
    }
    const LaunchSpec spec = anchored(given);
    const SnapshotFiles anchored_files{in_full(files.state), in_full(files.memory)};
    const auto requests = to_restore_requests(spec, anchored_files, version_);
    prepare_folder(spec);
    lend_to_read(spec, anchored_files.state);
    lend_to_read(spec, anchored_files.memory);
    return start(spec, &anchored_files, options, Origin::Restored, std::nullopt, {requests.data(), requests.size()});
  }

  std::unique_ptr<Instance> adopt(const RuntimeRecord& record) override {
    if (record.engine != engine_name) return nullptr;
    auto process = EngineProcess::adopt(record.process);
    if (!process) return nullptr;
    Version version = version_;
    Api api{record.run_dir / file::api_socket};
    try {
      version = parse_version(api.describe(Deadline::after(adopt_limit)).version);
    } catch (const Error& error) {
      if (process->ended()) return nullptr;
      // It hangs, or its folder is gone; it can still be watched and killed.
      options_.logger.warning(
          fmt::format("firecracker process {} does not answer: {}", record.process.pid, error.what()));
    }
    return std::make_unique<FirecrackerInstance>(
        InstanceParts{record, version, Origin::Adopted, std::move(*process), std::move(api),
                      TextPipe::open(record.run_dir / file::console), TextPipe::open(record.run_dir / file::log),
                      std::nullopt, false, std::nullopt});
  }

 private:
  std::unique_ptr<Instance> start(const LaunchSpec& spec, const SnapshotFiles* restored, const StartOptions& options,
                                  Origin origin, std::optional<sys::Fd> listener,
                                  std::span<const http::Request> requests) const {
    ScopeGuard clean_up{[&]() noexcept { remove_sockets(spec.run_dir); }};
    auto sandbox = to_sandbox(look_at_ground(options_.confinement, options_.binary, spec), spec, restored);
    auto started = start_process(options_.binary, std::move(sandbox), spec, options);
    RuntimeRecord record{std::string{engine_name}, started.process.id(), spec.run_dir};
    auto instance = std::make_unique<FirecrackerInstance>(
        InstanceParts{std::move(record), version_, origin, std::move(started.process), std::move(started.api),
                      std::move(started.console), std::move(started.log), std::move(listener), spec.die_with_parent,
                      std::move(started.ended_watch)});
    try {
      instance->begin(requests, options_.version, options);
    } catch (...) {
      instance->kill();
      throw;
    }
    clean_up.release();
    return instance;
  }

  Options options_;
  Version version_;
  mutable std::once_flag identity_once_;
  mutable std::string identity_;
};

}  // namespace

std::string binary_version(const std::filesystem::path& binary, Deadline deadline) {
  sys::ToolOptions options;
  options.deadline = deadline;
  const auto result = sys::run_tool({std::filesystem::absolute(binary).string(), "--version"}, options);
  constexpr std::string_view prefix = "Firecracker v";
  const auto problem = [&](std::string_view text) {
    return Error{ErrorCode::Vmm, fmt::format("'{} --version' {}", binary.string(), text)};
  };
  if (!result.status.success()) throw problem(result.status.describe());
  const std::string_view text = result.out;
  std::string_view line = text.substr(0, text.find('\n'));
  if (!line.starts_with(prefix))
    throw problem(fmt::format("printed '{}', not a Firecracker version", line.substr(0, 80)));
  line.remove_prefix(prefix.size());
  try {
    (void)supported(line);
  } catch (Error& error) {
    error.add_context(fmt::format("'{}'", binary.string()));
    throw;
  }
  return std::string{line};
}

std::string describe_cpu(std::string_view cpuinfo) {
  std::string model = "unknown processor";
  sys::Sha256 features;
  for (std::string_view rest = cpuinfo.substr(0, cpuinfo.find("\n\n")); !rest.empty();) {
    const auto end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.starts_with("model name")) model = line.substr(std::min(line.find(": ") + 2, line.size()));
    for (const std::string_view key : {"vendor_id", "cpu family", "model\t", "stepping", "microcode", "flags",
                                       "Features", "CPU implementer", "CPU part", "CPU variant", "CPU revision"}) {
      if (line.starts_with(key)) features.update(line);
    }
  }
  return fmt::format("{} {}", model, features.hex().substr(0, 16));
}

std::string known_hole(std::string_view version) {
  if (!trusts_guests_too_much(parse_version(version))) return {};
  return "a guest can misuse its PCI bus and its entropy device: machines have neither (kernels that need PCI are "
         "refused); 1.15.1 fixes both";
}

bool is_of_version(std::string_view identity, std::string_view version) {
  const auto begin = fmt::format("{} {}", engine_name, version);
  return identity.starts_with(begin + ";") || identity.starts_with(begin + " ");
}

std::unique_ptr<Driver> make_driver(Options options) { return std::make_unique<FirecrackerDriver>(std::move(options)); }

}  // namespace fireclaw::vmm::firecracker

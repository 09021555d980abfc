#include "vmm/qemu/driver.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <utility>

#include "base/scope.hpp"
#include "fireclaw/error.hpp"
#include "sys/file.hpp"
#include "vmm/qemu/argv.hpp"
#include "vmm/qemu/host_cpu.hpp"
#include "vmm/qemu/instance.hpp"
#include "vmm/qemu/sandbox.hpp"
#include "vmm/qemu/snapshot.hpp"
#include "vmm/qemu/start.hpp"
#include "vmm/qemu/version.hpp"

namespace fireclaw::vmm::qemu {
namespace {

constexpr unsigned max_vcpus = 32;
constexpr unsigned min_memory_mib = 16;

/// Reports how long each phase of a start took.
class Phases {
 public:
  explicit Phases(const PhaseCallback& callback) : callback_{callback} {}
  void done(std::string_view phase) {
    const auto now = Clock::now();
    if (callback_) callback_(phase, now - since_);
    since_ = now;
  }

 private:
  using Clock = std::chrono::steady_clock;
  const PhaseCallback& callback_;
  Clock::time_point since_ = Clock::now();
};

void require_file(const std::filesystem::path& path, std::string_view what) {
  if (::access(path.c_str(), R_OK) != 0)
    throw sys::system_error(errno, fmt::format("the {} '{}'", what, path.string()));
}

// QEMU runs in the machine's folder, so what the caller named from its own must be named in full.
LaunchSpec checked(LaunchSpec spec) {
  if (spec.vcpus == 0 || spec.vcpus > max_vcpus) {
    throw Error{ErrorCode::InvalidArgument, fmt::format("a machine has 1 to {} CPUs, not {}", max_vcpus, spec.vcpus)};
  }
  if (spec.memory_mib < min_memory_mib) {
    throw Error{ErrorCode::InvalidArgument,
                fmt::format("a machine has at least {} MiB of memory, not {}", min_memory_mib, spec.memory_mib)};
  }
  const auto in_full = [](const std::filesystem::path& path) {
    return std::filesystem::absolute(path).lexically_normal();
  };
  spec.run_dir = in_full(spec.run_dir);
  spec.kernel.file = in_full(spec.kernel.file);
  spec.initramfs = in_full(spec.initramfs);
  for (auto& drive : spec.drives) {
    drive.path = in_full(drive.path);
    require_file(drive.path, "drive");
  }
  return spec;
}

std::size_t bytes_of_mib(unsigned mib) { return std::size_t{mib} << 20; }

class QemuDriver final : public Driver {
 public:
  explicit QemuDriver(Options options) : options_{std::move(options)}, version_{parse_version(options_.version)} {
    // Without links: QEMU looks for its firmware beside it, and a sandbox has no /proc to find itself by.
    std::error_code missing;
    if (auto real = std::filesystem::canonical(options_.binary, missing); !missing) options_.binary = std::move(real);
  }

  [[nodiscard]] std::string name() const override { return fmt::format("qemu-{}", to_string(options_.accelerator)); }

  [[nodiscard]] std::string snapshot_identity() const override {
    return fmt::format("qemu {} {} {} machine {} on {}", options_.version, to_string(options_.accelerator),
                       options_.cpu_model, machine_revision, host_cpu_identity());
  }

  [[nodiscard]] Capabilities capabilities() const override {
    Capabilities capabilities;
    capabilities.user_network = true;
    capabilities.unconnected_nics = true;
    capabilities.tap_descriptors = true;
    capabilities.max_vcpus = max_vcpus;
    capabilities.elf_mmio = true;
    capabilities.bzimage_mmio = true;
    capabilities.pci = true;
    return capabilities;
  }

  std::unique_ptr<Instance> launch(const LaunchSpec& asked, const StartOptions& options) override {
    const auto spec = checked(asked);
    require_file(spec.kernel.file, "kernel");
    require_file(spec.initramfs, "initramfs");
    warn_of(spec);
    auto engine = engine_for();
    if (options_.accelerator == Accelerator::Tcg) engine.tsc_khz = tsc_.khz();
    Phases phases{options.on_phase};
    const auto memory = sys::make_memfd(ram_file_name, bytes_of_mib(spec.memory_mib));
    lend_to_read(spec, spec.kernel.file);
    lend_to_read(spec, spec.initramfs);
    auto started = start_engine(spec, to_argv(spec, engine, Start::Cold),
                                to_sandbox(ground_for(spec), spec, engine, Start::Cold), memory, nullptr);
    phases.done("spawn");
    supervise(started, [&] {
      const Wait wait{options.deadline, options.stop};
      const auto status = started.qmp.execute("query-status", {}, wait).at("status").as_string();
      started.console.seal();
      if (status != "running") {
        throw Error{ErrorCode::Vmm, fmt::format("QEMU did not run the machine; its state is '{}'", status)};
      }
      phases.done("engine");
    });
    return instance_of(std::move(started), spec);
  }

  std::unique_ptr<Instance> restore(const LaunchSpec& asked, const SnapshotFiles& files,
                                    const StartOptions& options) override {
    const auto spec = checked(asked);
    Phases phases{options.on_phase};
    const auto state = sys::open_file(files.state, O_RDONLY);
    const auto memory = sys::open_file(files.memory, O_RDONLY);
    check_snapshot(state, memory, files, spec.memory_mib);
    const auto engine = engine_for();
    opens_memory_to_read(version_) ? lend_to_read(spec, files.memory) : lend_to_write(spec, files.memory);
    auto started = start_engine(spec, to_argv(spec, engine, Start::Restore),
                                to_sandbox(ground_for(spec), spec, engine, Start::Restore), memory, &state);
    phases.done("spawn");
    supervise(started, [&] {
      const Wait wait{options.deadline, options.stop};
      load_state(started.qmp, wait);
      started.console.seal();
      phases.done("load");
      started.qmp.execute("cont", {}, wait);
      phases.done("resume");
    });
    return instance_of(std::move(started), spec);
  }

  std::unique_ptr<Instance> adopt(const RuntimeRecord& record) override {
    auto process = EngineProcess::adopt(record.process);
    if (!process) return nullptr;
    auto console = Console::of(record.process);
    const RunDir run_dir{record.run_dir};
    auto log = TextPipe::open(run_dir.log());
    if (!log) log.emplace(TextPipe::create(run_dir.log()));
    return std::make_unique<QemuInstance>(InstanceParts{name(), std::move(*process), run_dir, std::move(console),
                                                        std::nullopt, std::move(*log), engine_for(),
                                                        options_.confinement});
  }

 private:
  [[nodiscard]] Engine engine_for() const {
    return {options_.binary, version_, options_.accelerator, options_.cpu_model, 0};
  }

  [[nodiscard]] SandboxGround ground_for(const LaunchSpec& spec) const {
    return look_at_ground(options_.confinement, options_.binary, spec);
  }

  void warn_of(const LaunchSpec& spec) const {
    if (options_.accelerator == Accelerator::Tcg && spec.vcpus > 1 && version_ < parallel_tcg_version) {
      options_.logger.warning(
          fmt::format("QEMU {} can emulate several CPUs safely only by turns: {} CPUs will not be faster than one (8.1 "
                      "or later can)",
                      options_.version, spec.vcpus));
    }
  }

  // Waits for a started engine by `wait_for_it`. If that fails, the engine is ended, however it was started, and if it
  // ended by itself the error says why.
  template <typename F>
  void supervise(StartedEngine& started, F wait_for_it) const {
    ScopeGuard end{[&] { started.process.kill(); }};
    try {
      wait_for_it();
    } catch (Error& error) {
      if (error.code() == ErrorCode::Vmm) throw_if_ended(started.process, &started.log, started.qmp.closed());
      if (error.code() == ErrorCode::Timeout) {
        if (const auto log = log_tail(&started.log); !log.empty()) {
          error.add_context(fmt::format("QEMU hangs; log: {}", log));
        }
      }
      throw;
    }
    end.release();
  }

  [[nodiscard]] std::unique_ptr<Instance> instance_of(StartedEngine started, const LaunchSpec& spec) const {
    return std::make_unique<QemuInstance>(InstanceParts{name(), std::move(started.process), RunDir{spec.run_dir},
                                                        std::move(started.console), std::move(started.channel),
                                                        std::move(started.log), engine_for(), options_.confinement});
  }

  Options options_;
  Version version_;
  TscMeter tsc_;
};

}  // namespace

std::unique_ptr<Driver> make_driver(Options options) { return std::make_unique<QemuDriver>(std::move(options)); }

}  // namespace fireclaw::vmm::qemu

#include "vmm/qemu/argv.hpp"

#include <fmt/format.h>

#include <string_view>

#include "fireclaw/error.hpp"

namespace fireclaw::vmm::qemu {
namespace {

using Argv = std::vector<std::string>;

constexpr std::string_view throttle_group = "throttle-group,id=";

// In an option's list of properties a comma ends the value unless it is doubled.
std::string escaped(std::string_view value) {
  std::string text;
  for (const char c : value) text.append(c == ',' ? 2 : 1, c);
  return text;
}

// Both kinds are "microvm", which has no firmware tables to build, no chipset and no legacy devices to emulate:
// compared with q35 a cold boot under TCG takes 0.2 to 0.5 s less and a restore 20 ms less. With acpi=on and pcie=on it
// boots distribution kernels, which find the PCI bus through ACPI; with acpi=off the virtio-mmio devices are told on
// the kernel's command line.
std::string machine(const LaunchSpec& spec) {
  const char* kind = "";
  switch (spec.kernel.bus) {
    case VirtioBus::Mmio: kind = "microvm,acpi=off"; break;
    case VirtioBus::Pci: kind = "microvm,acpi=on,pcie=on"; break;
  }
  // No core dumps with the guest's memory in them, and no page sharing that would let guests watch each other.
  return fmt::format("{},memory-backend=ram,dump-guest-core=off,mem-merge=off", kind);
}

// What QEMU keeps of translated code for each guest CPU. Left to itself it takes up to 1 GiB, private to each machine,
// and gives nothing of it back.
constexpr unsigned translations_mib = 32;

std::string accelerator(const LaunchSpec& spec, const Engine& engine) {
  switch (engine.accelerator) {
    case Accelerator::Kvm: return "kvm";
    case Accelerator::Tcg: {
      const bool one_thread = spec.vcpus > 1 && engine.version < parallel_tcg_version;
      return fmt::format("tcg{},tb-size={}", one_thread ? ",thread=single" : "", spec.vcpus * translations_mib);
    }
  }
  return {};
}

// An emulated processor would promise that `rep movsb` is fast, and then move one byte at a time: kernels and C
// libraries have faster ways where it is not promised. That is no other model: what was saved with the promise
// continues without.
std::string processor(const Engine& engine) {
  switch (engine.accelerator) {
    case Accelerator::Kvm: return engine.cpu_model;
    case Accelerator::Tcg: return engine.cpu_model + ",-erms,-fsrm";
  }
  return {};
}

std::string_view device_suffix(VirtioBus bus) {
  switch (bus) {
    case VirtioBus::Mmio: return "device";
    case VirtioBus::Pci: return "pci";
  }
  return {};
}

// Listening sockets that are connected to already: QEMU serves one client at a time and then listens again.
std::string socket_chardev(std::string_view id, int fd) {
  return fmt::format("socket,id={},fd={},server=on,wait=off", id, fd);
}

// A snapshot's memory, which others are restored from too, is opened for reading only where QEMU can do that of RAM.
std::string sharing(const Engine& engine, Start start) {
  switch (start) {
    case Start::Cold: return "share=on";
    case Start::Restore: return opens_memory_to_read(engine.version) ? "share=off,readonly=on,rom=off" : "share=off";
  }
  return {};
}

void add_memory(Argv& argv, const LaunchSpec& spec, const Engine& engine, Start start) {
  argv.insert(argv.end(), {"-m", fmt::format("{}M", spec.memory_mib), "-object",
                           fmt::format("memory-backend-file,id=ram,size={}M,mem-path=/proc/self/fd/{},{}",
                                       spec.memory_mib, inherited::memory, sharing(engine, start))});
}

void add_control(Argv& argv) {
  argv.insert(argv.end(), {"-chardev", socket_chardev("qmp", inherited::qmp), "-mon", "chardev=qmp,mode=control"});
}

// The console goes to a file whose size is sealed: see console.hpp.
void add_console(Argv& argv) {
  argv.insert(argv.end(), {"-add-fd", fmt::format("fd={},set=1", inherited::console), "-chardev",
                           "file,id=console,path=/dev/fdset/1", "-serial", "chardev:console"});
}

void add_guest_channels(Argv& argv, std::string_view suffix) {
  // Port 0 is reserved for a console. Without max_ports there would be 31 ports' worth of queues to set up and save.
  argv.insert(argv.end(), {"-device", fmt::format("virtio-serial-{},max_ports={}", suffix, guest_channels + 1)});
  for (unsigned i = 0; i < guest_channels; ++i) {
    const auto id = fmt::format("guest{}", i);
    argv.insert(argv.end(), {"-chardev", socket_chardev(id, inherited::guest + static_cast<int>(i)), "-device",
                             fmt::format("virtserialport,chardev={},nr={},name=org.fireclaw.{}", id, i + 1, i)});
  }
}

void add_drive(Argv& argv, const Drive& drive, std::string_view suffix) {
  // Read-only files are locked as shared, so any number of machines may use one; writable ones exclusively. Blocks that
  // the guest discards are given back to the host.
  const bool limited = drive.bytes_per_second != 0;
  if (limited) {
    argv.insert(argv.end(),
                {"-object", fmt::format("{}rate_{},x-bps-total={}", throttle_group, drive.id, drive.bytes_per_second)});
  }
  // What is below a throttle has its access.
  argv.insert(argv.end(),
              {"-blockdev",
               fmt::format("driver={},node-name=drive_{},read-only={},{}{}driver=file,{}filename={}",
                           limited ? fmt::format("throttle,throttle-group=rate_{}", drive.id) : "raw", drive.id,
                           drive.read_only ? "on" : "off", drive.read_only ? "" : "discard=unmap,",
                           limited ? "file.driver=raw,file.file." : "file.", limited ? "file.file." : "file.",
                           escaped(drive.path.string())),
               "-device", fmt::format("virtio-blk-{},drive=drive_{},werror=report", suffix, drive.id)});
}

struct NetdevText {
  std::string_view id;
  std::size_t index;
  std::string operator()(const TapBackend& tap) const {
    if (!tap.descriptor) {
      throw Error{ErrorCode::Unsupported, fmt::format("QEMU is given taps as descriptors, and '{}' as none", tap.name)};
    }
    return fmt::format("tap,id=net_{},fd={}", id, inherited::tap + static_cast<int>(index));
  }
  std::string operator()(const UserBackend&) const { return fmt::format("user,id=net_{}", id); }
  // A hub that nothing else is plugged into.
  std::string operator()(const NoBackend&) const { return fmt::format("hubport,id=net_{},hubid={}", id, index); }
};

void add_nic(Argv& argv, const Nic& nic, std::size_t index, VirtioBus bus) {
  // romfile= : no boot from the network, so no boot ROM to load, map and save.
  argv.insert(argv.end(), {"-netdev", std::visit(NetdevText{nic.id, index}, nic.backend), "-device",
                           fmt::format("virtio-net-{},netdev=net_{},mac={}{}", device_suffix(bus), nic.id, nic.mac,
                                       bus == VirtioBus::Pci ? ",romfile=" : "")});
}

// The eight virtio-mmio transports of microvm without a second interrupt controller.
constexpr std::size_t mmio_slots = 8;

void check_slots(const LaunchSpec& spec) {
  const auto devices = 1 + spec.drives.size() + spec.nics.size();
  if (spec.kernel.bus == VirtioBus::Mmio && devices > mmio_slots) {
    throw Error{ErrorCode::Unsupported, fmt::format("a QEMU machine for virtio-mmio kernels has room for {} drives and "
                                                    "network interfaces, not {}",
                                                    mmio_slots - 1, devices - 1)};
  }
}

bool starts_with_any(std::string_view text, std::initializer_list<std::string_view> prefixes) {
  for (const auto prefix : prefixes) {
    if (text.starts_with(prefix)) return true;
  }
  return false;
}

// The value of property `name` in "driver,name=value,...".
std::string property(std::string_view text, std::string_view name) {
  const auto key = fmt::format(",{}=", name);
  const auto at = text.find(key);
  if (at == std::string_view::npos) return {};
  const auto begin = at + key.size();
  return std::string{text.substr(begin, text.find(',', begin) - begin)};
}

std::string stand_in_value(std::string_view option, const std::string& value) {
  if (option == "-object" && value.starts_with("memory-backend-file,")) {
    return value.substr(0, value.rfind(",share=")) + ",share=on";
  }
  if (option == "-chardev" && starts_with_any(value, {"socket,id=guest", "file,id=console,"})) {
    return fmt::format("null,id={}", property(value, "id"));
  }
  // Not a listener but one end of a pair.
  if (option == "-chardev" && value.starts_with("socket,id=qmp,")) {
    return fmt::format("socket,id=qmp,fd={}", inherited::qmp);
  }
  if (option == "-blockdev") {
    return fmt::format("driver=null-co,node-name={},read-only={},read-zeroes=on", property(value, "node-name"),
                       property(value, "read-only"));
  }
  // The descriptor is the machine's own. A tap without virtio-net headers offers no offloads, and so leaves the same in
  // the saved state as none.
  if (option == "-netdev" && value.starts_with("tap,")) {
    return fmt::format("hubport,id={},hubid={}", property(value, "id"), property(value, "fd"));
  }
  return value;
}

}  // namespace

std::string kernel_arguments(const Engine& engine) {
  // Restarting is how a guest ends its machine: reboot=t, since microvm has no keyboard controller to ask for it.
  // A console that prints everything costs more than the rest of the boot. The kernel's self-tests of its ciphers take
  // 0.3 s under TCG and tell nothing about a virtual machine.
  std::string text =
      "console=ttyS0 quiet loglevel=1 reboot=t panic=-1 8250.nr_uarts=1 random.trust_cpu=on cryptomgr.notests";
  switch (engine.accelerator) {
    case Accelerator::Kvm:
      // Unlike the TSC it continues exactly where it stopped when a snapshot was made.
      text += " clocksource=kvm-clock";
      break;
    case Accelerator::Tcg:
      // TCG's TSC is the host's. Left to itself the kernel compares it with the PIT, whose emulation is too jumpy for
      // that on a busy host: then it has no good clock, and none at all on the machine with ACPI, where it hangs.
      text += " no_timer_check";
      if (engine.tsc_khz != 0) text += fmt::format(" tsc=reliable tsc_early_khz={}", engine.tsc_khz);
      break;
  }
  return text;
}

std::vector<std::string> to_argv(const LaunchSpec& spec, const Engine& engine, Start start) {
  check_slots(spec);
  Argv argv{engine.binary.string()};
  argv.insert(argv.end(), {"-name", spec.id, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"});
  argv.insert(argv.end(), {"-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
                           "-machine", machine(spec), "-accel", accelerator(spec, engine), "-cpu", processor(engine)});
  argv.insert(argv.end(), {"-smp", fmt::format("{}", spec.vcpus)});
  add_memory(argv, spec, engine, start);
  switch (start) {
    case Start::Cold:
      argv.insert(argv.end(), {"-kernel", spec.kernel.file.string(), "-initrd", spec.initramfs.string(), "-append",
                               spec.cmdline.empty() ? kernel_arguments(engine)
                                                    : fmt::format("{} {}", kernel_arguments(engine), spec.cmdline)});
      break;
    case Start::Restore:
      // No kernel: it is in the saved memory, and reading it again takes up to 20 ms.
      argv.insert(argv.end(), {"-incoming", "defer"});
      break;
  }
  add_control(argv);
  add_console(argv);
  const auto suffix = device_suffix(spec.kernel.bus);
  add_guest_channels(argv, suffix);
  for (const auto& drive : spec.drives) add_drive(argv, drive, suffix);
  for (std::size_t i = 0; i < spec.nics.size(); ++i) add_nic(argv, spec.nics[i], i, spec.kernel.bus);
  return argv;
}

std::vector<std::string> to_stand_in_argv(std::vector<std::string> argv) {
  Argv result;
  bool incoming = false;
  for (std::size_t i = 0; i < argv.size(); ++i) {
    // What the machine was booted from is in its memory, and its disks lead nowhere.
    if (argv[i] == "-add-fd" || argv[i] == "-kernel" || argv[i] == "-initrd" || argv[i] == "-append" ||
        (argv[i] == "-object" && argv[i + 1].starts_with(throttle_group))) {
      ++i;
      continue;
    }
    incoming = incoming || argv[i] == "-incoming";
    result.push_back(i == 0 ? argv[i] : stand_in_value(argv[i - 1], argv[i]));
  }
  if (!incoming) result.insert(result.end(), {"-incoming", "defer"});
  // It takes over the state of a machine that may run, and must not run itself.
  result.emplace_back("-S");
  return result;
}

}  // namespace fireclaw::vmm::qemu

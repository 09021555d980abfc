#include "vmm/qemu/argv.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <string>

#include "fireclaw/error.hpp"

using namespace fireclaw;
using namespace fireclaw::vmm;
using namespace fireclaw::vmm::qemu;

namespace {

// One argument a line; an option and its value share one.
std::string as_text(const std::vector<std::string>& argv) {
  std::string text;
  for (const auto& argument : argv) {
    const bool option = argument.starts_with("-");
    if (!text.empty()) text += option || text.back() == '\n' ? "\n" : " ";
    text += argument;
  }
  return text + "\n";
}

LaunchSpec small(VirtioBus bus) {
  LaunchSpec spec;
  spec.id = "run-1";
  spec.run_dir = "/runs/run-1";
  spec.kernel = {"/images/i/kernel", bus == VirtioBus::Pci ? KernelFormat::BzImage : KernelFormat::Elf, bus};
  spec.initramfs = "/images/i/initramfs";
  spec.cmdline = "fireclaw.root=vda";
  spec.memory_mib = 128;
  return spec;
}

LaunchSpec large(VirtioBus bus) {
  auto spec = small(bus);
  spec.vcpus = 2;
  spec.memory_mib = 512;
  spec.drives = {{"root", "/images/a,b/rootfs", true}, {"work", "/workspaces/w.img", false}};
  spec.nics = {{"net0", "02:fc:00:00:00:01", TapBackend{"fc0", 50}}, {"net1", "02:fc:00:00:00:02", UserBackend{}}};
  return spec;
}

Engine tcg() { return {"/usr/bin/qemu-system-x86_64", {7, 2, 22}, Accelerator::Tcg, "max", 2596136}; }
Engine kvm() { return {"/usr/bin/qemu-system-x86_64", {7, 2, 22}, Accelerator::Kvm, "host,-arch-capabilities", 0}; }

}  // namespace

TEST_CASE("a cold machine for a virtio-mmio kernel, emulated") {
  CHECK(as_text(to_argv(small(VirtioBus::Mmio), tcg(), Start::Cold)) ==
        R"(/usr/bin/qemu-system-x86_64
-name run-1
-nodefaults
-no-user-config
-display none
-no-reboot
-sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny
-machine microvm,acpi=off,memory-backend=ram,dump-guest-core=off,mem-merge=off
-accel tcg,tb-size=32
-cpu max,-erms,-fsrm
-smp 1
-m 128M
-object memory-backend-file,id=ram,size=128M,mem-path=/proc/self/fd/8,share=on
-kernel /images/i/kernel
-initrd /images/i/initramfs
-append console=ttyS0 quiet loglevel=1 reboot=t panic=-1 8250.nr_uarts=1 random.trust_cpu=on cryptomgr.notests no_timer_check tsc=reliable tsc_early_khz=2596136 fireclaw.root=vda
-chardev socket,id=qmp,fd=3,server=on,wait=off
-mon chardev=qmp,mode=control
-add-fd fd=9,set=1
-chardev file,id=console,path=/dev/fdset/1
-serial chardev:console
-device virtio-serial-device,max_ports=5
-chardev socket,id=guest0,fd=4,server=on,wait=off
-device virtserialport,chardev=guest0,nr=1,name=org.fireclaw.0
-chardev socket,id=guest1,fd=5,server=on,wait=off
-device virtserialport,chardev=guest1,nr=2,name=org.fireclaw.1
-chardev socket,id=guest2,fd=6,server=on,wait=off
-device virtserialport,chardev=guest2,nr=3,name=org.fireclaw.2
-chardev socket,id=guest3,fd=7,server=on,wait=off
-device virtserialport,chardev=guest3,nr=4,name=org.fireclaw.3
)");
}

TEST_CASE("a cold machine for a PCI kernel with drives and networks, on KVM") {
  CHECK(as_text(to_argv(large(VirtioBus::Pci), kvm(), Start::Cold)) ==
        R"(/usr/bin/qemu-system-x86_64
-name run-1
-nodefaults
-no-user-config
-display none
-no-reboot
-sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny
-machine microvm,acpi=on,pcie=on,memory-backend=ram,dump-guest-core=off,mem-merge=off
-accel kvm
-cpu host,-arch-capabilities
-smp 2
-m 512M
-object memory-backend-file,id=ram,size=512M,mem-path=/proc/self/fd/8,share=on
-kernel /images/i/kernel
-initrd /images/i/initramfs
-append console=ttyS0 quiet loglevel=1 reboot=t panic=-1 8250.nr_uarts=1 random.trust_cpu=on cryptomgr.notests clocksource=kvm-clock fireclaw.root=vda
-chardev socket,id=qmp,fd=3,server=on,wait=off
-mon chardev=qmp,mode=control
-add-fd fd=9,set=1
-chardev file,id=console,path=/dev/fdset/1
-serial chardev:console
-device virtio-serial-pci,max_ports=5
-chardev socket,id=guest0,fd=4,server=on,wait=off
-device virtserialport,chardev=guest0,nr=1,name=org.fireclaw.0
-chardev socket,id=guest1,fd=5,server=on,wait=off
-device virtserialport,chardev=guest1,nr=2,name=org.fireclaw.1
-chardev socket,id=guest2,fd=6,server=on,wait=off
-device virtserialport,chardev=guest2,nr=3,name=org.fireclaw.2
-chardev socket,id=guest3,fd=7,server=on,wait=off
-device virtserialport,chardev=guest3,nr=4,name=org.fireclaw.3
-blockdev driver=raw,node-name=drive_root,read-only=on,file.driver=file,file.filename=/images/a,,b/rootfs
-device virtio-blk-pci,drive=drive_root,werror=report
-blockdev driver=raw,node-name=drive_work,read-only=off,discard=unmap,file.driver=file,file.filename=/workspaces/w.img
-device virtio-blk-pci,drive=drive_work,werror=report
-netdev tap,id=net_net0,fd=11
-device virtio-net-pci,netdev=net_net0,mac=02:fc:00:00:00:01,romfile=
-netdev user,id=net_net1
-device virtio-net-pci,netdev=net_net1,mac=02:fc:00:00:00:02,romfile=
)");
}

TEST_CASE("a restored machine has the same devices, private memory and no kernel") {
  CHECK(as_text(to_argv(large(VirtioBus::Mmio), tcg(), Start::Restore)) ==
        R"(/usr/bin/qemu-system-x86_64
-name run-1
-nodefaults
-no-user-config
-display none
-no-reboot
-sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny
-machine microvm,acpi=off,memory-backend=ram,dump-guest-core=off,mem-merge=off
-accel tcg,thread=single,tb-size=64
-cpu max,-erms,-fsrm
-smp 2
-m 512M
-object memory-backend-file,id=ram,size=512M,mem-path=/proc/self/fd/8,share=off
-incoming defer
-chardev socket,id=qmp,fd=3,server=on,wait=off
-mon chardev=qmp,mode=control
-add-fd fd=9,set=1
-chardev file,id=console,path=/dev/fdset/1
-serial chardev:console
-device virtio-serial-device,max_ports=5
-chardev socket,id=guest0,fd=4,server=on,wait=off
-device virtserialport,chardev=guest0,nr=1,name=org.fireclaw.0
-chardev socket,id=guest1,fd=5,server=on,wait=off
-device virtserialport,chardev=guest1,nr=2,name=org.fireclaw.1
-chardev socket,id=guest2,fd=6,server=on,wait=off
-device virtserialport,chardev=guest2,nr=3,name=org.fireclaw.2
-chardev socket,id=guest3,fd=7,server=on,wait=off
-device virtserialport,chardev=guest3,nr=4,name=org.fireclaw.3
-blockdev driver=raw,node-name=drive_root,read-only=on,file.driver=file,file.filename=/images/a,,b/rootfs
-device virtio-blk-device,drive=drive_root,werror=report
-blockdev driver=raw,node-name=drive_work,read-only=off,discard=unmap,file.driver=file,file.filename=/workspaces/w.img
-device virtio-blk-device,drive=drive_work,werror=report
-netdev tap,id=net_net0,fd=11
-device virtio-net-device,netdev=net_net0,mac=02:fc:00:00:00:01
-netdev user,id=net_net1
-device virtio-net-device,netdev=net_net1,mac=02:fc:00:00:00:02
)");
}

TEST_CASE("the stand-in of a restored machine shares its memory and leaves alone what the machine uses") {
  CHECK(as_text(to_stand_in_argv(to_argv(large(VirtioBus::Pci), kvm(), Start::Restore))) ==
        R"(/usr/bin/qemu-system-x86_64
-name run-1
-nodefaults
-no-user-config
-display none
-no-reboot
-sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny
-machine microvm,acpi=on,pcie=on,memory-backend=ram,dump-guest-core=off,mem-merge=off
-accel kvm
-cpu host,-arch-capabilities
-smp 2
-m 512M
-object memory-backend-file,id=ram,size=512M,mem-path=/proc/self/fd/8,share=on
-incoming defer
-chardev socket,id=qmp,fd=3
-mon chardev=qmp,mode=control
-chardev null,id=console
-serial chardev:console
-device virtio-serial-pci,max_ports=5
-chardev null,id=guest0
-device virtserialport,chardev=guest0,nr=1,name=org.fireclaw.0
-chardev null,id=guest1
-device virtserialport,chardev=guest1,nr=2,name=org.fireclaw.1
-chardev null,id=guest2
-device virtserialport,chardev=guest2,nr=3,name=org.fireclaw.2
-chardev null,id=guest3
-device virtserialport,chardev=guest3,nr=4,name=org.fireclaw.3
-blockdev driver=null-co,node-name=drive_root,read-only=on,read-zeroes=on
-device virtio-blk-pci,drive=drive_root,werror=report
-blockdev driver=null-co,node-name=drive_work,read-only=off,read-zeroes=on
-device virtio-blk-pci,drive=drive_work,werror=report
-netdev hubport,id=net_net0,hubid=11
-device virtio-net-pci,netdev=net_net0,mac=02:fc:00:00:00:01,romfile=
-netdev user,id=net_net1
-device virtio-net-pci,netdev=net_net1,mac=02:fc:00:00:00:02,romfile=
-S
)");
}

TEST_CASE("the stand-in of a machine that has booted waits for its state, too, and boots nothing") {
  const auto text = as_text(to_stand_in_argv(to_argv(small(VirtioBus::Mmio), tcg(), Start::Cold)));
  CHECK(text.find("-kernel") == std::string::npos);
  CHECK(text.find("-append") == std::string::npos);
  CHECK(text.ends_with("-incoming defer\n-S\n"));
}

TEST_CASE("a drive with a rate goes through a throttle, which its stand-in has no use for") {
  auto spec = small(VirtioBus::Mmio);
  spec.nics.clear();
  spec.drives = {{"work", "/w.img", false, 5 << 20}};
  const auto argv = to_argv(spec, tcg(), Start::Restore);
  const auto from = [](const std::vector<std::string>& all, std::string_view begin) {
    const auto text = as_text(all);
    return text.substr(std::min(text.find(begin), text.size()));
  };
  CHECK(from(argv, "-object throttle-group") ==
        R"(-object throttle-group,id=rate_work,x-bps-total=5242880
-blockdev driver=throttle,throttle-group=rate_work,node-name=drive_work,read-only=off,discard=unmap,file.driver=raw,file.file.driver=file,file.file.filename=/w.img
-device virtio-blk-device,drive=drive_work,werror=report
)");
  const auto stand_in = to_stand_in_argv(argv);
  CHECK(from(stand_in, "-blockdev") == R"(-blockdev driver=null-co,node-name=drive_work,read-only=off,read-zeroes=on
-device virtio-blk-device,drive=drive_work,werror=report
-S
)");
  CHECK(from(stand_in, "throttle").empty());
}

TEST_CASE("a tap is inherited by its number, and a device may lead nowhere; a stand-in needs neither") {
  auto spec = small(VirtioBus::Mmio);
  spec.nics = {{"net0", "02:fc:00:00:00:01", NoBackend{}}, {"net1", "02:fc:00:00:00:02", TapBackend{"fc1", 77}}};
  const auto argv = to_argv(spec, tcg(), Start::Restore);
  const auto end_of = [](const std::vector<std::string>& all) {
    const auto text = as_text(all);
    return text.substr(text.find("-netdev"));
  };
  CHECK(end_of(argv) ==
        R"(-netdev hubport,id=net_net0,hubid=0
-device virtio-net-device,netdev=net_net0,mac=02:fc:00:00:00:01
-netdev tap,id=net_net1,fd=12
-device virtio-net-device,netdev=net_net1,mac=02:fc:00:00:00:02
)");
  CHECK(end_of(to_stand_in_argv(argv)) ==
        R"(-netdev hubport,id=net_net0,hubid=0
-device virtio-net-device,netdev=net_net0,mac=02:fc:00:00:00:01
-netdev hubport,id=net_net1,hubid=12
-device virtio-net-device,netdev=net_net1,mac=02:fc:00:00:00:02
-S
)");
}

TEST_CASE("a tap that would have to be opened by its name is refused") {
  auto spec = small(VirtioBus::Mmio);
  spec.nics = {{"net0", "02:fc:00:00:00:01", TapBackend{"fc0"}}};
  CHECK_THROWS_WITH_AS(to_argv(spec, tcg(), Start::Cold), "QEMU is given taps as descriptors, and 'fc0' as none",
                       Error);
}

TEST_CASE("a snapshot's memory is opened for reading only by a QEMU that can, and a machine's own is shared") {
  const auto memory = [](Version version, Start start) {
    auto engine = tcg();
    engine.version = version;
    const auto text = as_text(to_argv(small(VirtioBus::Mmio), engine, start));
    const auto at = text.find("share=");
    return text.substr(at, text.find('\n', at) - at);
  };
  CHECK(memory({8, 1, 5}, Start::Restore) == "share=off");
  CHECK(memory({8, 2, 0}, Start::Restore) == "share=off,readonly=on,rom=off");
  CHECK(memory({10, 0, 2}, Start::Cold) == "share=on");
  auto engine = tcg();
  engine.version = {10, 0, 2};
  const auto stand_in = as_text(to_stand_in_argv(to_argv(small(VirtioBus::Mmio), engine, Start::Restore)));
  CHECK(stand_in.find("mem-path=/proc/self/fd/8,share=on\n") != std::string::npos);
}

TEST_CASE("guest CPUs are emulated side by side only by a QEMU that can, and what each translates is bounded") {
  const auto accelerator = [](unsigned vcpus, Version version) {
    auto spec = small(VirtioBus::Mmio);
    spec.vcpus = vcpus;
    auto engine = tcg();
    engine.version = version;
    const auto text = as_text(to_argv(spec, engine, Start::Cold));
    const auto at = text.find("-accel ");
    return text.substr(at, text.find('\n', at) - at);
  };
  CHECK(accelerator(1, {7, 2, 22}) == "-accel tcg,tb-size=32");
  CHECK(accelerator(2, {7, 2, 22}) == "-accel tcg,thread=single,tb-size=64");
  CHECK(accelerator(2, {8, 0, 5}) == "-accel tcg,thread=single,tb-size=64");
  CHECK(accelerator(2, {8, 1, 0}) == "-accel tcg,tb-size=64");
  CHECK(accelerator(4, {10, 0, 2}) == "-accel tcg,tb-size=128");
}

TEST_CASE("more virtio-mmio devices than the machine has room for are refused") {
  auto spec = small(VirtioBus::Mmio);
  for (int i = 0; i < 7; ++i) spec.drives.push_back({"d" + std::to_string(i), "/d", true});
  CHECK_NOTHROW(to_argv(spec, tcg(), Start::Cold));
  spec.nics.push_back({"n", "02:fc:00:00:00:01", UserBackend{}});
  CHECK_THROWS_WITH_AS(to_argv(spec, tcg(), Start::Cold),
                       "a QEMU machine for virtio-mmio kernels has room for 7 drives and network interfaces, not 8",
                       Error);
  spec.kernel.bus = VirtioBus::Pci;
  CHECK_NOTHROW(to_argv(spec, tcg(), Start::Cold));
}

TEST_CASE("versions are read as QEMU writes them, and old ones are refused") {
  CHECK(parse_version("7.2.22") == Version{7, 2, 22});
  CHECK(parse_version("10.0.50-rc1") == Version{10, 0, 50});
  CHECK(parse_version("8.1.0") >= parallel_tcg_version);
  const auto code = [](std::string_view text) {
    try {
      parse_version(text);
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::Internal;
  };
  CHECK(code("7.1.99") == ErrorCode::Unsupported);
  CHECK(code("6.2.0") == ErrorCode::Unsupported);
  for (const auto* text : {"", "seven", "7", "7.2", "7.2.", "7..2", "-7.2.1"}) {
    CAPTURE(text);
    CHECK(code(text) == ErrorCode::Vmm);
  }
}

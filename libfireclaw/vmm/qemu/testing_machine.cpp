#include "vmm/qemu/testing_machine.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "sys/poll.hpp"
#include "sys/process.hpp"

namespace fireclaw::vmm::qemu::testing {
namespace {

[[noreturn]] void skip(const std::string& reason) {
  std::puts(("skipped: " + reason).c_str());
  std::exit(77);
}

// One member of a cpio archive of the kind that kernels unpack ("newc").
void add_member(std::string& archive, const std::string& name, unsigned mode, std::string_view content) {
  static unsigned inode = 0;
  const auto pad = [&] { archive.append((4 - archive.size() % 4) % 4, '\0'); };
  archive += fmt::format("070701{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}",
                         ++inode, mode, 0, 0, 1, 0, content.size(), 0, 0, 0, 0, name.size() + 1, 0);
  archive += name;
  archive += '\0';
  pad();
  archive += content;
  pad();
}

// Folder of the modules that echo_init loads, in the order of their names; nullptr: the kernel needs none.
const char* modules() { return std::getenv("FIRECLAW_TEST_KERNEL_MODULES"); }

std::string make_initramfs() {
  std::string archive;
  add_member(archive, "dev", S_IFDIR | 0755, {});
  add_member(archive, "init", S_IFREG | 0755, sys::read_file(ECHO_INIT));
  if (modules() != nullptr) {
    add_member(archive, "modules", S_IFDIR | 0755, {});
    for (const auto& entry : std::filesystem::directory_iterator{modules()}) {
      add_member(archive, "modules/" + entry.path().filename().string(), S_IFREG | 0644, sys::read_file(entry.path()));
    }
  }
  add_member(archive, "TRAILER!!!", 0, {});
  return archive;
}

KernelFormat format_of(const std::filesystem::path& kernel) {
  std::array<char, 4> magic{};
  std::ifstream{kernel}.read(magic.data(), magic.size());
  return std::string_view{magic.data(), magic.size()} == "\177ELF" ? KernelFormat::Elf : KernelFormat::BzImage;
}

}  // namespace

std::filesystem::path kernel_or_skip() {
  const char* kernel = std::getenv("FIRECLAW_TEST_KERNEL");
  if (kernel == nullptr) skip("FIRECLAW_TEST_KERNEL does not name a kernel");
  return kernel;
}

LaunchSpec spec_or_skip(const std::filesystem::path& folder, const std::string& id) {
  const auto kernel = kernel_or_skip();
  const auto initramfs = folder / "initramfs";
  if (!std::filesystem::exists(initramfs)) sys::write_file_atomic(initramfs, make_initramfs());
  LaunchSpec spec;
  spec.id = id;
  spec.run_dir = folder / id;
  sys::make_directories(spec.run_dir);
  spec.kernel = {kernel, format_of(kernel), modules() != nullptr ? VirtioBus::Pci : VirtioBus::Mmio};
  spec.initramfs = initramfs;
  spec.memory_mib = modules() != nullptr ? 128 : 64;
  return spec;
}

std::filesystem::path qemu_or_skip() {
  const auto program = sys::find_program("qemu-system-x86_64", {"/usr/local/bin", "/usr/bin"});
  if (!program) skip("qemu-system-x86_64 is not installed");
  return *program;
}

std::unique_ptr<Driver> make_tcg_driver() {
  const auto binary = qemu_or_skip();
  return make_driver({binary, binary_version(binary, soon()), Accelerator::Tcg,
                      candidate_cpu_models(Accelerator::Tcg).front(), Logger{}});
}

Deadline soon() { return Deadline::after(std::chrono::nanoseconds{std::chrono::seconds{40}}); }

std::string ask(const sys::Fd& stream, std::string_view command) {
  const auto deadline = soon();
  sys::write_all(stream.get(), fmt::format("{}\n", command));
  std::string answer;
  for (;;) {
    sys::require_fd(stream.get(), POLLIN, deadline, fmt::format("the guest's answer to '{}'", command));
    std::array<std::byte, 1> byte;
    if (sys::read_some(stream.get(), byte) <= 0) return answer + "<end>";
    const auto c = static_cast<char>(byte[0]);
    if (c == '\n') return answer;
    answer += c;
  }
}

std::string ask(Instance& machine, std::string_view command) {
  const auto channel = machine.connect_guest(soon());
  return ask(channel.stream, command);
}

}  // namespace fireclaw::vmm::qemu::testing

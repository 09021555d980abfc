#include "vmm/qemu/testing_machine.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "json/json.hpp"
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

// The image's own initramfs, for its modules, with echo_init in the place of its /init: of two files of a name the
// kernel keeps the second.
std::string make_initramfs(const std::filesystem::path& image) {
  auto archive = sys::read_file(image / "initramfs");
  archive.append((4 - archive.size() % 4) % 4, '\0');
  add_member(archive, "init", S_IFREG | 0755, sys::read_file(ECHO_INIT));
  add_member(archive, "TRAILER!!!", 0, {});
  return archive;
}

}  // namespace

const sys::Confinable& confinable() {
  static const auto found =
      sys::find_confinement({1'900'000'000, 1}, {"/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"});
  return found;
}

std::filesystem::path image_or_skip() {
  for (const auto* name : {"FIRECLAW_TEST_HOME", "FIRECLAW_BUILD_HOME"}) {
    if (const char* home = std::getenv(name)) return std::filesystem::path{home} / "images" / "busybox";
  }
  skip("neither FIRECLAW_TEST_HOME nor FIRECLAW_BUILD_HOME names a prepared home folder");
}

LaunchSpec spec_or_skip(const std::filesystem::path& folder, const std::string& id) {
  const auto image = image_or_skip();
  const auto initramfs = folder / "initramfs";
  if (!std::filesystem::exists(initramfs)) sys::write_file_atomic(initramfs, make_initramfs(image));
  const auto kernel = json::Value::parse_file(image / "manifest.json").at("kernel");
  LaunchSpec spec;
  spec.id = id;
  spec.run_dir = folder / id;
  sys::make_directories(spec.run_dir);
  spec.kernel = {image / "kernel", kernel.at("format").as_string() == "elf" ? KernelFormat::Elf : KernelFormat::BzImage,
                 kernel.at("bus").as_string() == "pci" ? VirtioBus::Pci : VirtioBus::Mmio};
  spec.initramfs = initramfs;
  spec.memory_mib = 128;
  // All machines of a test have the same; that each has its own is the business of who starts them.
  if (::geteuid() == 0 && confinable().ids) spec.user = confinable().ids->first;
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
                      candidate_cpu_models(Accelerator::Tcg).front(), Logger{}, confinable().level});
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

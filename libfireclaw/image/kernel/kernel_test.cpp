#include "image/kernel/kernel.hpp"

#include <doctest/doctest.h>

#include "image/testing/craft.hpp"
#include "sys/digest.hpp"
#include "sys/file.hpp"

using namespace fireclaw;
using namespace fireclaw::image;
using image::testing::Elf;
using image::testing::error_of;
using image::testing::make_bzimage;
using image::testing::make_vmlinux;
using image::testing::poke;
using image::testing::put;

namespace {

KernelInfo inspect(const std::string& bytes) { return inspect_kernel_bytes(bytes, "k"); }
std::pair<ErrorCode, std::string> refusal(const std::string& bytes) {
  return error_of([&] { inspect(bytes); });
}

}  // namespace

TEST_CASE("a vmlinux is told by its ELF header and its banner, not by the banner's format string") {
  const KernelInfo info = inspect(make_vmlinux("6.1.0-test", {}));
  CHECK(info.format == KernelFormat::Elf);
  CHECK(info.release == "6.1.0-test");
  CHECK(info.bus == VirtioBus::Pci);
}

TEST_CASE("a kernel that takes virtio-mmio devices from its command line is told by the parameter's name") {
  CHECK(inspect(make_vmlinux("6.1.0", {"virtio_mmio.device"})).bus == VirtioBus::Mmio);
  // The driver alone is not proof.
  CHECK(inspect(make_vmlinux("6.1.0", {"virtio_mmio", "virtio-mmio"})).bus == VirtioBus::Pci);
  CHECK(inspect(make_vmlinux("6.1.0", {"my_virtio_mmio.device"})).bus == VirtioBus::Pci);
  CHECK(find_builtin_virtio(make_vmlinux("6.1.0", {"virtio-pci"})).pci);
  CHECK_FALSE(find_builtin_virtio(make_vmlinux("6.1.0", {"virtio"})).pci);
}

TEST_CASE("a bzImage is told by its setup header, which names the release") {
  const KernelInfo info = inspect(make_bzimage("6.1.0-13-cloud-amd64", "payload"));
  CHECK(info.format == KernelFormat::BzImage);
  CHECK(info.bus == VirtioBus::Pci);
  CHECK(info.release == "6.1.0-13-cloud-amd64");
}

TEST_CASE("inspecting a file gives its digest too") {
  const sys::TempDir folder = image::testing::temp_dir();
  const std::string bytes = make_bzimage("6.1.0", "payload");
  put(folder.path() / "vmlinuz", bytes);
  CHECK(inspect_kernel(folder.path() / "vmlinuz").sha256 == sys::sha256_hex(bytes));
  CHECK(error_of([&] { inspect_kernel(folder.path()); }).second.find("a folder") != std::string::npos);
  CHECK(error_of([&] { inspect_kernel(folder.path() / "none"); }).first == ErrorCode::NotFound);
}

TEST_CASE("what is not a kernel is refused, with the reason") {
  CHECK(refusal("").second.find("'k' is not a kernel: the file is empty") == 0);
  CHECK(refusal(std::string(4096, 'x')).second.find("neither an ELF file nor a bzImage") != std::string::npos);
  CHECK(refusal("\x1f\x8b\x08packed").second.find("a compressed file; unpack it first") != std::string::npos);
  Elf program;
  program.interpreter = true;
  program.sections = {{".rodata", "Linux version 6.1.0 "}};
  CHECK(refusal(program.bytes()).second.find("a program or library") != std::string::npos);
  Elf library;
  library.type = 3;
  CHECK(refusal(library.bytes()).second.find("a program or library") != std::string::npos);
  Elf other;
  CHECK(refusal(other.bytes()).second.find("without Linux's banner") != std::string::npos);
  for (const auto& [at, value] : {std::pair<std::size_t, std::uint8_t>{4, 1}, {4, 0}, {4, 3}, {5, 2}, {5, 0}}) {
    auto foreign = other.bytes();
    poke(foreign, at, value);
    CAPTURE(at);
    CHECK(refusal(foreign) ==
          std::pair{ErrorCode::InvalidArgument, std::string{"'k' is not a 64-bit little-endian ELF file"}});
  }
  other.machine = 243;
  CHECK(refusal(other.bytes()).second.find("another architecture") != std::string::npos);
  for (const std::string& bytes :
       {std::string{}, std::string(4096, 'x'), program.bytes(), library.bytes(), other.bytes()}) {
    CHECK(refusal(bytes).first == ErrorCode::InvalidArgument);
  }
  std::string nameless = make_bzimage("6.1.0", "payload");
  poke<std::uint16_t>(nameless, 0x20e, 0);
  CHECK(refusal(nameless).second.find("names no version") != std::string::npos);
}

TEST_CASE("a kernel for aarch64 is recognised and not supported") {
  Elf elf;
  elf.machine = 183;
  CHECK(refusal(elf.bytes()).first == ErrorCode::Unsupported);
  std::string image(4096, '\0');
  image.replace(56, 4, "ARM\x64");
  const auto [code, text] = refusal(image);
  CHECK(code == ErrorCode::Unsupported);
  CHECK(text.find("aarch64") != std::string::npos);
}

TEST_CASE("a bzImage too old for a 64-bit entry is not supported") {
  std::string old = make_bzimage("2.4.0", "payload");
  poke<std::uint16_t>(old, 0x206, 0x0203);
  const auto [code, text] = refusal(old);
  CHECK(code == ErrorCode::Unsupported);
  CHECK(text.find("boot protocol 2.03") != std::string::npos);
}

TEST_CASE("a truncated vmlinux is found out wherever it was cut") {
  const std::string whole = make_vmlinux("6.1.0", {"virtio_mmio.device"});
  for (std::size_t length = 4; length < whole.size(); ++length) {
    CAPTURE(length);
    const auto [code, text] = refusal(whole.substr(0, length));
    REQUIRE(code == ErrorCode::InvalidArgument);
    REQUIRE(text.find("truncated") != std::string::npos);
  }
}

TEST_CASE("a truncated bzImage is found out by the size its header promises") {
  const std::string whole = make_bzimage("6.1.0", std::string(1000, 'p'));
  for (std::size_t length = 0x210; length < whole.size(); length += 3) {
    CAPTURE(length);
    const auto [code, text] = refusal(whole.substr(0, length));
    REQUIRE(code == ErrorCode::InvalidArgument);
    REQUIRE(text.find("truncated") != std::string::npos);
  }
}

TEST_CASE("numbers in an ELF header that run over are truncation, not a crash") {
  const std::string whole = make_vmlinux("6.1.0", {});
  for (const std::size_t field : {32, 40, 64 + 8, 64 + 32}) {
    std::string bytes = whole;
    poke<std::uint64_t>(bytes, field, 0xfffffffffffffff0);
    CHECK(refusal(bytes).second.find("truncated") != std::string::npos);
  }
}

TEST_CASE("the kernel in a bzImage is unpacked, whatever it was packed with") {
  const sys::TempDir folder = image::testing::temp_dir();
  const Tools tools = image::testing::make_tools(folder.path());
  const std::string vmlinux = make_vmlinux("6.1.0-packed", {"virtio_mmio.device", std::string(50000, '\0')});
  const std::vector<std::vector<std::string>> packers{
      {"xz", "-c", "--check=crc32"}, {"zstd", "-c", "-q"}, {"lz4", "-l", "-c", "-q"},
      {"gzip", "-c", "-n"},          {"bzip2", "-c"},      {"xz", "-c", "--format=lzma"}};
  for (const auto& packer : packers) {
    CAPTURE(packer.front());
    std::string payload = image::testing::filter(packer, vmlinux, tools);
    // As the kernel's build does for all but gzip.
    if (packer.front() != "gzip") {
      payload.resize(payload.size() + 4);
      poke<std::uint32_t>(payload, payload.size() - 4, static_cast<std::uint32_t>(vmlinux.size()));
    }
    put(folder.path() / "vmlinuz", make_bzimage("6.1.0-packed", payload));
    const std::filesystem::path target = folder.path() / "vmlinux";
    std::filesystem::remove(target);
    extract_vmlinux(folder.path() / "vmlinuz", target, tools);
    CHECK(sys::read_file(target) == vmlinux);
  }
}

TEST_CASE("a bzImage with a damaged or unknown payload leaves no vmlinux that would count") {
  const sys::TempDir folder = image::testing::temp_dir();
  const Tools tools = image::testing::make_tools(folder.path());
  const std::string packed = image::testing::filter({"xz", "-c"}, make_vmlinux("6.1.0", {}), tools);
  put(folder.path() / "damaged", make_bzimage("6.1.0", packed.substr(0, packed.size() / 2) + "size"));
  CHECK(error_of([&] { extract_vmlinux(folder.path() / "damaged", folder.path() / "out", tools); }).first ==
        ErrorCode::Corrupt);
  put(folder.path() / "unknown", make_bzimage("6.1.0", "who knows"));
  CHECK(error_of([&] { extract_vmlinux(folder.path() / "unknown", folder.path() / "out", tools); }).first ==
        ErrorCode::Unsupported);
  put(folder.path() / "empty", make_bzimage("6.1.0", ""));
  CHECK(error_of([&] { extract_vmlinux(folder.path() / "empty", folder.path() / "out", tools); }).first ==
        ErrorCode::Unsupported);
  CHECK_FALSE(std::filesystem::exists(folder.path() / "out"));
}

#include "image/kernel/kernel.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cctype>

#include "fireclaw/error.hpp"
#include "image/archives/compression.hpp"
#include "image/bytes.hpp"
#include "image/kernel/elf.hpp"
#include "sys/digest.hpp"
#include "sys/fd.hpp"
#include "sys/file.hpp"

namespace fireclaw::image {

namespace {

constexpr std::size_t max_kernel_bytes = std::size_t{1} << 30;

// Offsets in the x86 boot protocol's setup header (Documentation/arch/x86/boot.rst).
constexpr std::uint64_t setup_sectors_at = 0x1f1;
constexpr std::uint64_t code_size_at = 0x1f4;
constexpr std::uint64_t boot_flag_at = 0x1fe;
constexpr std::uint64_t header_magic_at = 0x202;
constexpr std::uint64_t protocol_at = 0x206;
constexpr std::uint64_t version_text_at = 0x20e;
constexpr std::uint64_t load_flags_at = 0x211;
constexpr std::uint64_t payload_offset_at = 0x248;
constexpr std::uint64_t payload_length_at = 0x24c;
constexpr std::uint64_t header_end = 0x250;
constexpr std::uint64_t sector_bytes = 512;

// An arm64 Image says so at offset 56, whatever its first bytes are (it may pose as a PE file).
constexpr std::uint64_t arm64_magic_at = 56;

constexpr std::string_view banner = "Linux version ";

Error not_a_kernel(std::string_view name, std::string_view why) {
  return Error{ErrorCode::InvalidArgument,
               fmt::format("'{}' is not a kernel: {} (a vmlinux or a bzImage is needed)", name, why)};
}

Error truncated(std::string_view name, std::uint64_t needed, std::uint64_t there) {
  return Error{
      ErrorCode::InvalidArgument,
      fmt::format("kernel '{}' is truncated: {} bytes are there, its header promises {}", name, there, needed)};
}

Error other_architecture(std::string_view name) {
  return Error{ErrorCode::Unsupported,
               fmt::format("'{}' is a kernel for aarch64; this fireclaw runs x86-64 guests only", name)};
}

/// The first word of `text`, if all of it is printable and it looks like a release ("6.1.0-13-amd64").
std::string release_of(std::string_view text) {
  std::size_t length = 0;
  while (length < text.size() && length < 64 && std::isgraph(static_cast<unsigned char>(text[length])) != 0) ++length;
  const std::string_view word = text.substr(0, length);
  return !word.empty() && std::isdigit(static_cast<unsigned char>(word[0])) != 0 ? std::string{word} : std::string{};
}

bool is_bzimage(std::string_view bytes) {
  return load_le<std::uint16_t>(bytes, boot_flag_at) == 0xaa55 &&
         bytes.substr(0, header_magic_at + 4).size() > header_magic_at && bytes.substr(header_magic_at, 4) == "HdrS";
}

/// Start of the protected-mode code. The header must have been seen by is_bzimage().
std::uint64_t check_bzimage(std::string_view bytes, std::string_view name) {
  if (bytes.size() < header_end) throw truncated(name, header_end, bytes.size());
  const auto protocol = load_le<std::uint16_t>(bytes, protocol_at).value();
  const auto load_flags = load_le<std::uint8_t>(bytes, load_flags_at).value();
  if (protocol < 0x0208 || (load_flags & 1) == 0) {
    throw Error{ErrorCode::Unsupported, fmt::format("kernel '{}' is too old: boot protocol {}.{:02}, 2.08 is needed",
                                                    name, protocol >> 8, protocol & 0xff)};
  }
  const auto sectors = load_le<std::uint8_t>(bytes, setup_sectors_at).value();
  const std::uint64_t code = (std::uint64_t{sectors == 0 ? 4U : sectors} + 1) * sector_bytes;
  const std::uint64_t needed = code + std::uint64_t{load_le<std::uint32_t>(bytes, code_size_at).value()} * 16;
  if (bytes.size() < needed) throw truncated(name, needed, bytes.size());
  return code;
}

KernelInfo inspect_bzimage(std::string_view bytes, std::string_view name) {
  check_bzimage(bytes, name);
  KernelInfo info;
  info.format = KernelFormat::BzImage;
  info.bus = VirtioBus::Pci;
  const std::uint64_t text = load_le<std::uint16_t>(bytes, version_text_at).value() + std::uint64_t{0x200};
  if (text > 0x200 && text < bytes.size()) info.release = release_of(bytes.substr(static_cast<std::size_t>(text)));
  if (info.release.empty()) throw not_a_kernel(name, "its header names no version");
  return info;
}

KernelInfo inspect_elf(std::string_view bytes, std::string_view name) {
  const ElfView elf{bytes, name};
  if (elf.machine() == static_cast<std::uint16_t>(ElfView::Machine::AArch64)) throw other_architecture(name);
  if (elf.machine() != static_cast<std::uint16_t>(ElfView::Machine::X86_64)) {
    throw not_a_kernel(name, "an ELF file for another architecture");
  }
  if (elf.type() != ElfView::type_executable || elf.has_segment(ElfView::segment_interpreter) ||
      !elf.has_segment(ElfView::segment_load)) {
    throw not_a_kernel(name, "an ELF file, but a program or library");
  }
  const std::size_t found = bytes.find(banner);
  std::string release;
  // The format string "Linux version %s" may come first.
  for (std::size_t at = found; at != std::string_view::npos && release.empty(); at = bytes.find(banner, at + 1)) {
    release = release_of(bytes.substr(at + banner.size()));
  }
  if (release.empty()) throw not_a_kernel(name, "an ELF file without Linux's banner in it");
  KernelInfo info;
  info.format = KernelFormat::Elf;
  info.bus = find_builtin_virtio(bytes).mmio_by_command_line ? VirtioBus::Mmio : VirtioBus::Pci;
  info.release = std::move(release);
  return info;
}

}  // namespace

BuiltinVirtio find_builtin_virtio(std::string_view vmlinux) {
  using namespace std::string_view_literals;
  BuiltinVirtio found;
  // The parameter by which devices are announced on the command line; there only with
  // CONFIG_VIRTIO_MMIO_CMDLINE_DEVICES.
  found.mmio_by_command_line = vmlinux.find("\0virtio_mmio.device\0"sv) != std::string_view::npos;
  // The PCI driver's name in its struct pci_driver, and the name its parameters carry.
  found.pci = vmlinux.find("\0virtio-pci\0"sv) != std::string_view::npos ||
              vmlinux.find("\0virtio_pci.force_legacy\0"sv) != std::string_view::npos;
  return found;
}

KernelInfo inspect_kernel_bytes(std::string_view bytes, std::string_view name) {
  if (bytes.empty()) throw not_a_kernel(name, "the file is empty");
  if (ElfView::has_magic(bytes)) return inspect_elf(bytes, name);
  if (is_bzimage(bytes)) return inspect_bzimage(bytes, name);
  if (bytes.size() >= arm64_magic_at + 4 && bytes.substr(arm64_magic_at, 4) == "ARM\x64") {
    throw other_architecture(name);
  }
  if (sniff_compression(bytes.substr(0, 8)) != Compression::None) {
    throw not_a_kernel(name, "a compressed file; unpack it first");
  }
  throw not_a_kernel(name, "neither an ELF file nor a bzImage");
}

KernelInfo inspect_kernel(const std::filesystem::path& file) {
  if (std::filesystem::is_directory(file)) throw not_a_kernel(file.string(), "a folder");
  const std::string bytes = sys::read_file(file, max_kernel_bytes);
  KernelInfo info = inspect_kernel_bytes(bytes, file.string());
  info.sha256 = sys::sha256_hex(bytes);
  return info;
}

Payload find_payload(std::string_view bytes, std::string_view name) {
  if (!is_bzimage(bytes)) throw not_a_kernel(name, "no bzImage");
  const std::uint64_t code = check_bzimage(bytes, name);
  Payload payload;
  payload.offset = code + load_le<std::uint32_t>(bytes, payload_offset_at).value();
  payload.bytes = load_le<std::uint32_t>(bytes, payload_length_at).value();
  if (payload.bytes == 0) {
    throw Error{ErrorCode::Unsupported, fmt::format("kernel '{}' has no packed vmlinux in it", name)};
  }
  if (!within(payload.offset, payload.bytes, bytes.size())) {
    throw truncated(name, payload.offset + payload.bytes, bytes.size());
  }
  return payload;
}

void extract_vmlinux(const std::filesystem::path& bzimage, const std::filesystem::path& target, const Tools& tools) {
  const std::string bytes = sys::read_file(bzimage, max_kernel_bytes);
  const Payload payload = find_payload(bytes, bzimage.string());
  std::string_view packed =
      std::string_view{bytes}.substr(static_cast<std::size_t>(payload.offset), static_cast<std::size_t>(payload.bytes));
  const Compression compression = sniff_compression(packed.substr(0, 8));
  // For every format but gzip, whose trailer has it anyway, the kernel's build appends the unpacked size, which the
  // programs would take for garbage.
  if (compression != Compression::Gzip && compression != Compression::None && packed.size() > 4) {
    packed.remove_suffix(4);
  }
  if (compression == Compression::None && !ElfView::has_magic(packed)) {
    throw Error{ErrorCode::Unsupported,
                fmt::format("kernel '{}' is packed in a way that is not known here", bzimage.string())};
  }
  const sys::Fd input = sys::make_memfd("fireclaw-kernel", 0);
  sys::write_all(input.get(), packed);
  sys::check(::lseek(input.get(), 0, SEEK_SET), "lseek");
  const sys::Fd unpacked = sys::make_memfd("fireclaw-vmlinux", 0);
  decompress(compression, input.get(), unpacked.get(), bzimage.string(), tools);
  const sys::Fd output = sys::open_file(target, O_WRONLY | O_CREAT | O_EXCL, 0644);
  sys::copy_sparse(unpacked.get(), output.get());
  const KernelInfo info = inspect_kernel(target);
  if (info.format != KernelFormat::Elf) {
    throw Error{ErrorCode::Unsupported,
                fmt::format("what is packed in kernel '{}' is not an ELF file", bzimage.string())};
  }
}

}  // namespace fireclaw::image

#include "vmm/qemu/version.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>

#include "fireclaw/error.hpp"
#include "sys/process.hpp"
#include "vmm/qemu/driver.hpp"

namespace fireclaw::vmm::qemu {

Version parse_version(std::string_view text) {
  std::array<unsigned, 3> numbers{};
  const char* at = text.data();
  const char* const end = text.data() + text.size();
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const auto [next, error] = std::from_chars(at, end, numbers[i]);
    const bool more = i + 1 < numbers.size();
    if (error != std::errc{} || (more && (next == end || *next != '.'))) {
      throw Error{ErrorCode::Vmm, fmt::format("'{}' is not a QEMU version", text)};
    }
    at = next + (more ? 1 : 0);
  }
  const Version version{numbers[0], numbers[1], numbers[2]};
  if (version < oldest_version) {
    throw Error{ErrorCode::Unsupported, fmt::format("QEMU {} is too old; install {}.{} or later", text,
                                                    oldest_version.major, oldest_version.minor)};
  }
  return version;
}

std::string binary_version(const std::filesystem::path& binary, Deadline deadline) {
  const auto what = [&] { return fmt::format("'{} --version'", binary.string()); };
  try {
    sys::ToolOptions options;
    options.deadline = deadline;
    const auto result = sys::run_tool({binary.string(), "--version"}, options);
    if (!result.status.success()) {
      throw Error{ErrorCode::Vmm, fmt::format("{} {}", what(), result.status.describe())};
    }
    constexpr std::string_view prefix = "QEMU emulator version ";
    if (!result.out.starts_with(prefix)) {
      throw Error{ErrorCode::Vmm, fmt::format("{} does not answer as QEMU does", what())};
    }
    const auto end = result.out.find_first_of(" \n", prefix.size());
    auto version = result.out.substr(prefix.size(), end - prefix.size());
    parse_version(version);
    return version;
  } catch (Error& error) {
    error.add_context("ask QEMU for its version");
    throw;
  }
}

std::vector<std::string> candidate_cpu_models(Accelerator accelerator) {
  switch (accelerator) {
    case Accelerator::Kvm:
      // On AMD hosts QEMU 7.2 can promise MSR_ARCH_CAPABILITIES and then abort because KVM refuses to set it.
      return {"host", "host,-arch-capabilities", "max,-arch-capabilities"};
    case Accelerator::Tcg: return {"max"};
  }
  return {};
}

}  // namespace fireclaw::vmm::qemu

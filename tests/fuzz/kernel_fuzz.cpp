// Whatever a kernel file, a module or an initramfs holds, looking into it ends with an answer or with a refusal that
// names it.
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "fireclaw/error.hpp"
#include "fuzz/require.hpp"
#include "image/archives/cpio.hpp"
#include "image/kernel/initramfs.hpp"
#include "image/kernel/kernel.hpp"
#include "image/kernel/modules.hpp"

namespace {

using fireclaw::Error;
using fireclaw::ErrorCode;
using fireclaw::fuzz::require;

void look(std::initializer_list<ErrorCode> refusals, const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    bool expected = false;
    for (const ErrorCode code : refusals) expected = expected || error.code() == code;
    require(expected, "a refusal says that it is the file's fault");
    require(std::string_view{error.what()}.find("'input'") != std::string_view::npos, "a refusal names the file");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace fireclaw::image;
  const std::string_view bytes{reinterpret_cast<const char*>(data), size};
  look({ErrorCode::InvalidArgument, ErrorCode::Unsupported}, [&] {
    const KernelInfo info = inspect_kernel_bytes(bytes, "input");
    require(!info.release.empty() && info.release.size() <= 64, "a kernel has a release");
  });
  look({ErrorCode::InvalidArgument, ErrorCode::Unsupported}, [&] {
    const Payload payload = find_payload(bytes, "input");
    require(payload.bytes > 0 && payload.offset < size && payload.bytes <= size - payload.offset,
            "a payload lies within its file");
  });
  look({ErrorCode::Corrupt}, [&] { read_module_info(bytes, "input"); });
  std::string module{bytes};
  strip_signature(module);
  require(bytes.starts_with(module), "taking a signature off only shortens a module");
  look({ErrorCode::Corrupt}, [&] {
    for (const CpioEntry& entry : read_cpio(bytes, "input")) {
      require(entry.content.size() <= size && entry.path.size() <= size, "an entry lies within its archive");
    }
  });
  look({ErrorCode::Corrupt}, [&] {
    const ModuleSet set = read_initramfs_modules(bytes, "input");
    const ModuleSet again = read_initramfs_modules(make_initramfs("init", set), "again");
    require(again.modules.size() <= set.modules.size(), "modules do not multiply");
  });
  return 0;
}

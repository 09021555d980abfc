#include "kernel_options.hpp"

#include <filesystem>

namespace fireclaw::cli {

void KernelOptions::add_to(CLI::App& command) {
  command
      .add_option("--kernel", kernel_,
                  "Kernel to use: a vmlinux or bzImage file, or a URL; default: Debian's cloud kernel")
      ->type_name("PATH|URL");
  command.add_option("--kernel-sha256", sha256_, "SHA-256 of the kernel at the URL")->type_name("HEX");
  command
      .add_option("--modules", modules_, "The /lib/modules/<release> folder of the kernel file, if it needs modules")
      ->type_name("DIR");
}

KernelSource KernelOptions::source() const {
  const bool url = kernel_.starts_with("http://") || kernel_.starts_with("https://");
  if (url && sha256_.empty()) {
    throw Error{ErrorCode::InvalidArgument, "--kernel with a URL needs --kernel-sha256"};
  }
  if (!url && !sha256_.empty()) {
    throw Error{ErrorCode::InvalidArgument, "--kernel-sha256 goes with --kernel URL"};
  }
  if (!modules_.empty() && (kernel_.empty() || url)) {
    throw Error{ErrorCode::InvalidArgument, "--modules goes with --kernel PATH"};
  }
  if (kernel_.empty()) return DistributionKernel{};
  if (url) return KernelUrl{kernel_, sha256_};
  KernelFile file;
  file.path = std::filesystem::absolute(kernel_);
  if (!modules_.empty()) file.modules = std::filesystem::absolute(modules_);
  return file;
}

}  // namespace fireclaw::cli

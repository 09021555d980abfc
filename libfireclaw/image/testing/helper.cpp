// Builds images in its own process, to be run beside others, as another user, on its own disk, or killed.
//
//   helper build STORE NAME KERNEL KIND=ARGUMENT GUESTD [hold]   KIND: busybox, tar, dir, oci, debian
//   helper full-disk FOLDER KERNEL GUESTD
//
// It prints a line for each step, then "built DIGEST", or the error's code and text. With `hold` it waits at the
// first step until its standard input ends.
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <iostream>
#include <string>
#include <string_view>

#include "fireclaw/error.hpp"
#include "image/store/store.hpp"

namespace {

using namespace fireclaw;
using namespace fireclaw::image;

RootfsSource root_of(const std::string& text) {
  const std::size_t equals = text.find('=');
  const std::string kind = text.substr(0, equals);
  const std::string argument = equals == std::string::npos ? "" : text.substr(equals + 1);
  if (kind == "tar") return Tar{argument};
  if (kind == "dir") return Directory{argument};
  if (kind == "oci") return Oci{argument};
  if (kind == "debian") return Debian{argument, {}, ""};
  return Busybox{argument};
}

int build(const std::filesystem::path& folder, const BuildSpec& spec, const std::filesystem::path& guestd, bool hold) {
  const LogSink log = [](LogLevel level, std::string_view message) {
    std::cout << "log " << to_string(level) << ' ' << message << std::endl;
  };
  try {
    Store store{folder, Logger{log}};
    BuildOptions options;
    options.guestd = guestd;
    options.guestd_version = "test";
    options.search_path = {"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"};
    options.progress = [&](std::string_view step, std::uint64_t, std::uint64_t) {
      std::cout << "step " << step << std::endl;
      std::string line;
      while (hold && std::getline(std::cin, line)) {
      }
      hold = false;
    };
    const Entry entry = store.build(spec, options);
    std::cout << "built " << entry.manifest.digest << std::endl;
    return 0;
  } catch (const Error& error) {
    std::cout << to_string(error.code()) << ' ' << error.what() << std::endl;
    return 1;
  }
}

/// A build on a file system of 2 MiB that nobody else sees; what is left there is told afterwards.
int full_disk(const std::filesystem::path& folder, const std::string& kernel, const std::string& guestd) {
  const int flags = ::geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWNS | CLONE_NEWUSER;
  if (::unshare(flags) < 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0 ||
      ::mount("tmpfs", folder.c_str(), "tmpfs", 0, "size=2m") < 0) {
    return 77;
  }
  // Below this much nothing fits; the built-in root alone is larger than what is left after kernel and initramfs.
  const int status =
      build(folder / "images", BuildSpec{"full", KernelFile{kernel, {}}, Busybox{}, false}, guestd, false);
  for (const auto& item : std::filesystem::directory_iterator{folder / "images"}) {
    std::cout << "left " << item.path().filename().string() << std::endl;
  }
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (words.size() == 4 && words[0] == "full-disk") return full_disk(words[1], words[2], words[3]);
  if (words.size() >= 6 && words[0] == "build") {
    return build(words[1], BuildSpec{words[2], KernelFile{words[3], {}}, root_of(words[4]), false}, words[5],
                 words.size() > 6);
  }
  return 2;
}

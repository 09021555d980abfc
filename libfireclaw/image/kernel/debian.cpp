#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/text.hpp"
#include "fireclaw/error.hpp"
#include "image/kernel/source.hpp"
#include "image/tools.hpp"
#include "sys/digest.hpp"
#include "sys/file.hpp"

namespace fireclaw::image {

namespace {

namespace fs = std::filesystem;

/// What apt knows of a package.
struct Package {
  std::string name;
  std::string version;
  std::string sha256;
  std::string depends;
};

std::string field_of(std::string_view record, std::string_view field) {
  const std::string key = fmt::format("\n{}: ", field);
  const std::string text = fmt::format("\n{}", record);
  const std::size_t at = text.find(key);
  if (at == std::string::npos) return {};
  const std::size_t start = at + key.size();
  return text.substr(start, text.find('\n', start) - start);
}

std::optional<Package> show(const std::string& name, const Tools& tools) {
  const sys::ToolResult result = sys::run_tool(
      {tools.require("apt-cache", "apt").string(), "show", "--no-all-versions", "--", name}, tools.options());
  if (!result.status.success()) return std::nullopt;
  const std::string record = result.out.substr(0, result.out.find("\n\n"));
  Package package{field_of(record, "Package"), field_of(record, "Version"), field_of(record, "SHA256"),
                  field_of(record, "Depends")};
  if (package.name.empty() || package.version.empty()) return std::nullopt;
  return package;
}

/// The kernel that a metapackage stands for: the first of its dependencies named linux-image-*.
std::string image_dependency(const Package& package) {
  constexpr std::string_view prefix = "linux-image-";
  std::string_view rest = package.depends;
  while (!rest.empty()) {
    const std::size_t comma = rest.find(',');
    std::string_view item = rest.substr(0, comma);
    while (!item.empty() && item.front() == ' ') item.remove_prefix(1);
    item = item.substr(0, item.find_first_of(" (|:"));
    if (item.substr(0, prefix.size()) == prefix) return std::string{item};
    if (comma == std::string_view::npos) break;
    rest.remove_prefix(comma + 1);
  }
  return {};
}

std::optional<Package> resolve(const std::string& name, const Tools& tools) {
  std::optional<Package> package = show(name, tools);
  for (unsigned depth = 0; package && depth < 4; ++depth) {
    const std::string next = image_dependency(*package);
    if (next.empty()) return package;
    package = show(next, tools);
  }
  return package;
}

/// A package's file in the cache. '/' cannot be in a version; ':' (an epoch) can, and is fine in a file name.
fs::path cached_file(const fs::path& cache, const Package& package) {
  return cache / fmt::format("{}_{}.deb", package.name, package.version);
}

/// Remembers which package a name last stood for, to work when apt's lists are gone.
fs::path memo_of(const fs::path& cache, const std::string& requested) { return cache / (requested + ".resolved"); }

void remember(const fs::path& memo, const Package& package) {
  sys::write_file_atomic(
      memo, fmt::format("Package: {}\nVersion: {}\nSHA256: {}\n", package.name, package.version, package.sha256));
}

std::optional<Package> recall(const fs::path& memo) {
  if (!fs::exists(memo)) return std::nullopt;
  const std::string record = sys::read_file(memo);
  Package package{field_of(record, "Package"), field_of(record, "Version"), field_of(record, "SHA256"), {}};
  if (package.name.empty() || package.version.empty()) return std::nullopt;
  return package;
}

bool is_whole(const fs::path& file, const Package& package) {
  return fs::exists(file) && (package.sha256.empty() || sys::sha256_file(file) == package.sha256);
}

void download(const Package& package, const fs::path& target, const KernelContext& context) {
  if (context.progress) context.progress(fmt::format("download {}", package.name), 0, 0);
  const sys::TempDir folder{context.cache, ".download-"};
  sys::ToolOptions options = context.tools.options();
  options.cwd = folder.path();
  // apt would drop its rights to a user who cannot write to this folder, and warn of it.
  const sys::ToolResult result =
      sys::run_tool({context.tools.require("apt-get", "apt").string(), "-q", "-o", "APT::Sandbox::User=root",
                     "download", fmt::format("{}={}", package.name, package.version)},
                    options);
  if (!result.status.success()) {
    throw Error{ErrorCode::Io, fmt::format("cannot download package '{}' ({}); try: apt-get update; apt-get said: {}",
                                           package.name, package.version, one_line(result.err))};
  }
  for (const fs::directory_entry& entry : fs::directory_iterator{folder.path()}) {
    if (entry.path().extension() != ".deb") continue;
    if (!is_whole(entry.path(), package)) {
      throw Error{ErrorCode::Corrupt, fmt::format("package '{}' was damaged on its way; try again", package.name)};
    }
    fs::rename(entry.path(), target);
    return;
  }
  throw Error{ErrorCode::Io, fmt::format("apt-get download brought no package '{}'", package.name)};
}

void check_package_name(const std::string& name) {
  // Debian policy 5.6.1; also keeps it from being an option or a path.
  const bool good = name.size() >= 2 && name.size() <= 200 &&
                    name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789+-.") == std::string::npos &&
                    name.find_first_of("+-.") != 0;
  if (!good) throw Error{ErrorCode::InvalidArgument, fmt::format("'{}' is not a package name", name)};
}

/// The package with the kernel, in the cache afterwards.
Package obtain(const std::string& requested, const KernelContext& context) {
  const fs::path memo = memo_of(context.cache, requested);
  std::optional<Package> package;
  if (sys::find_program("apt-cache", context.tools.search_path)) package = resolve(requested, context.tools);
  if (!package) {
    package = recall(memo);
    if (!package || !is_whole(cached_file(context.cache, *package), *package)) {
      throw Error{ErrorCode::NotFound,
                  fmt::format("no package '{}' known to apt; run: apt-get update (or choose another kernel: --kernel "
                              "PATH)",
                              requested)};
    }
    context.logger.warning(fmt::format("apt knows no package '{}'; using {} {} from the cache", requested,
                                       package->name, package->version));
    return *package;
  }
  const fs::path file = cached_file(context.cache, *package);
  if (!is_whole(file, *package)) download(*package, file, context);
  remember(memo, *package);
  return *package;
}

}  // namespace

UnpackedKernel fetch_debian_kernel(const DebianKernel& source, const KernelContext& context) {
  check_package_name(source.package);
  const Package package = obtain(source.package, context);
  if (context.progress) context.progress(fmt::format("unpack {}", package.name), 0, 0);
  const fs::path root = context.tools.temp / "kernel-package";
  sys::check_tool({context.tools.require("dpkg-deb", "dpkg").string(), "-x",
                   cached_file(context.cache, package).string(), root.string()},
                  context.tools.options());
  UnpackedKernel unpacked;
  unpacked.source = fmt::format("{} {}", package.name, package.version);
  if (fs::is_directory(root / "boot")) {
    for (const fs::directory_entry& entry : fs::directory_iterator{root / "boot"}) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with("vmlinuz-")) unpacked.kernel = entry.path();
      if (name.starts_with("config-")) unpacked.config = sys::read_file(entry.path());
    }
  }
  for (const char* folder : {"lib/modules", "usr/lib/modules"}) {
    if (!fs::is_directory(root / folder)) continue;
    for (const fs::directory_entry& entry : fs::directory_iterator{root / folder}) unpacked.modules = entry.path();
  }
  if (unpacked.kernel.empty() || unpacked.modules.empty()) {
    throw Error{ErrorCode::InvalidArgument, fmt::format("package '{}' has no kernel in it", package.name)};
  }
  return unpacked;
}

}  // namespace fireclaw::image

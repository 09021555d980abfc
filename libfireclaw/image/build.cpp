#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <utility>

#include "fireclaw/error.hpp"
#include "image/archives/compression.hpp"
#include "image/archives/squashfs.hpp"
#include "image/kernel/initramfs.hpp"
#include "image/kernel/kernel.hpp"
#include "image/kernel/source.hpp"
#include "image/roots/debian_agent.hpp"
#include "image/roots/rootfs.hpp"
#include "image/store/store.hpp"
#include "sys/digest.hpp"
#include "sys/file.hpp"

namespace fireclaw::image {

namespace {

namespace fs = std::filesystem;

FileInfo describe(const fs::path& file) { return FileInfo{sys::sha256_file(file), fs::file_size(file)}; }

void write_new_file(const fs::path& path, std::string_view content) {
  const sys::Fd file = sys::open_file(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
  try {
    sys::write_all(file.get(), content);
  } catch (Error& error) {
    error.add_context(fmt::format("write '{}'", path.string()));
    throw;
  }
}

void sync_file(const fs::path& path) { sys::sync_fd(sys::open_file(path, O_RDONLY).get(), path); }

/// The name's lock. Waiting is interrupted now and then to see whether the caller still wants it.
sys::FileLock lock_name(const fs::path& file, const std::string& name, const BuildOptions& options,
                        const Logger& logger) {
  if (auto lock = sys::FileLock::try_acquire(file, sys::FileLock::Mode::Exclusive)) return std::move(*lock);
  logger.info(fmt::format("image '{}' is being built by another process; waiting for it", name));
  for (;;) {
    if (options.stop.stop_requested()) {
      throw Error{ErrorCode::Cancelled, fmt::format("waiting for image '{}' was cancelled", name)};
    }
    try {
      return sys::FileLock::acquire(file, sys::FileLock::Mode::Exclusive,
                                    Deadline::after(std::chrono::milliseconds{200}).sooner(options.wait),
                                    fmt::format("image '{}'", name));
    } catch (const Error& error) {
      if (error.code() != ErrorCode::Timeout) throw;
      if (options.wait.passed()) {
        throw Error{ErrorCode::Timeout, fmt::format("image '{}' is still being built by another process", name)};
      }
    }
  }
}

/// Tools report a full disk in their own words or not at all; the user must hear of it in any case.
[[noreturn]] void rethrow_explained(const fs::path& directory) {
  try {
    throw;
  } catch (const Error& error) {
    constexpr std::uint64_t nothing_left = 128 << 10;
    const bool said_so = says_disk_full(error.what());
    if (error.code() == ErrorCode::Cancelled || (!said_so && sys::free_bytes(directory) > nothing_left)) throw;
    throw Error{ErrorCode::Io,
                fmt::format("disk is full: nothing more can be written below '{}'; free some space there and try again",
                            directory.string()),
                std::current_exception()};
  }
}

/// Where the build in `target` is to be kept, which one of another digest replaces; empty: it goes.
fs::path place_to_keep(const fs::path& target, const std::string& digest, const BuildOptions& options) {
  if (!options.keep) return {};
  try {
    const Manifest replaced = read_manifest(target / "manifest.json");
    if (replaced.digest == digest || !options.keep(replaced)) return {};
    const fs::path kept = target.parent_path() / kept_folder / replaced.digest;
    sys::make_directories(kept.parent_path());
    sys::remove_tree(kept);
    return kept;
  } catch (const Error& problem) {
    // One that is torn can serve nobody.
    if (problem.code() != ErrorCode::Corrupt && problem.code() != ErrorCode::NotFound) throw;
    return {};
  }
}

/// The steps of one build, in a folder that nobody else sees.
class ImageBuild {
 public:
  /// `share_kernel`: tries to make a file another name of a kernel that is there already.
  using ShareKernel = std::function<bool(const fs::path& target, const std::string& sha256)>;

  ImageBuild(const Store& store, ShareKernel share_kernel, const Logger& logger, const BuildSpec& spec,
             const BuildOptions& options, const fs::path& folder)
      : store_{store},
        share_kernel_{std::move(share_kernel)},
        logger_{logger},
        spec_{spec},
        options_{options},
        tools_{options.search_path, options.env, folder / "work", options.stop},
        entry_{{}, folder} {
    sys::make_directories(tools_.temp);
    entry_.manifest.name = spec.name;
    entry_.manifest.guestd_version = options.guestd_version;
  }

  /// The manifest's digest; its file is the last that is written.
  std::string run(const fs::path& cache) {
    write_kernel(cache);
    write_root();
    sys::remove_tree(tools_.temp);
    tools_.check_stop();
    finish();
    return entry_.manifest.digest;
  }

 private:
  void step(std::string_view what, std::uint64_t done = 0, std::uint64_t total = 0) const {
    if (options_.progress) options_.progress(what, done, total);
  }

  void write_kernel(const fs::path& cache) {
    step("kernel");
    const bool for_agents = std::holds_alternative<DebianAgent>(spec_.rootfs);
    const KernelContext context{
        tools_,
        logger_,
        cache,
        [this](std::string_view what, std::uint64_t done, std::uint64_t total) { step(what, done, total); },
        for_agents ? agent_modules() : std::vector<std::string>{},
        [this](const std::string& name) { return store_.open(name); }};
    const FetchedKernel kernel = fetch_kernel(spec_.kernel, context);
    tools_.check_stop();
    if (!share_kernel_(entry_.kernel(), kernel.info.sha256)) {
      sys::clone_file(kernel.file, entry_.kernel(), 0644);
    }
    auto& manifest = entry_.manifest;
    manifest.kernel = kernel.info;
    manifest.kernel_file = describe(entry_.kernel());
    if (manifest.kernel_file.sha256 != kernel.info.sha256) {
      throw Error{ErrorCode::Io, fmt::format("kernel '{}' changed while it was read", kernel.file.string())};
    }

    step("initramfs");
    write_new_file(entry_.initramfs(), make_initramfs(sys::read_file(options_.guestd), kernel.modules));
    manifest.initramfs = describe(entry_.initramfs());
  }

  void write_root() {
    step("root file system");
    const LoadedRoot root = load_root(
        spec_.rootfs,
        RootContext{tools_, logger_, [this](std::string_view what) { step(what); }, options_.cache, options_.agent});
    auto& manifest = entry_.manifest;
    manifest.source = root.source;
    manifest.recipe = root.recipe;
    manifest.defaults = root.defaults;
    manifest.rootfs_type = "squashfs";
    make_squashfs(root.tree, entry_.rootfs(), tools_,
                  [this](std::uint64_t done, std::uint64_t total) { step("pack root file system", done, total); });
    manifest.rootfs = describe(entry_.rootfs());
  }

  void finish() {
    step("publish");
    for (const fs::path& file : {entry_.kernel(), entry_.initramfs(), entry_.rootfs()}) {
      fs::permissions(file, fs::perms{0644});
      sync_file(file);
    }
    auto& manifest = entry_.manifest;
    manifest.created =
        options_.created.value_or(std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()));
    manifest.digest = combined_digest(manifest.kernel_file, manifest.initramfs, manifest.rootfs);
    sys::write_file_atomic(entry_.directory / "manifest.json", to_json(manifest), 0644);
  }

  const Store& store_;
  ShareKernel share_kernel_;
  const Logger& logger_;
  const BuildSpec& spec_;
  const BuildOptions& options_;
  const Tools tools_;
  Entry entry_;
};

}  // namespace

bool Store::share_kernel(const fs::path& target, const std::string& sha256) const {
  // The same kernel is in most images: one file with several names.
  for (const Entry& entry : list()) {
    if (entry.manifest.kernel_file.sha256 != sha256) continue;
    if (::link(entry.kernel().c_str(), target.c_str()) < 0) continue;
    if (sys::sha256_file(target) == sha256) return true;
    fs::remove(target);
  }
  return false;
}

fs::path Store::ensure_vmlinux(const Entry& entry, const BuildOptions& options) const {
  if (entry.manifest.kernel.format == KernelFormat::Elf) return entry.kernel();
  const fs::path vmlinux = entry.directory / "vmlinux";
  // Published by a rename, so what is there is whole.
  if (fs::exists(vmlinux)) return vmlinux;
  const std::string& name = entry.manifest.name;
  const sys::FileLock lock = lock_name(lock_file(name), name, options, logger_);
  if (fs::exists(vmlinux)) return vmlinux;
  const sys::TempDir folder{directory_, fmt::format("{}{}@", build_prefix, name)};
  try {
    const Tools tools{options.search_path, options.env, folder.path(), options.stop};
    extract_vmlinux(entry.kernel(), folder.path() / "vmlinux", tools);
    sync_file(folder.path() / "vmlinux");
  } catch (...) {
    rethrow_explained(directory_);
  }
  fs::rename(folder.path() / "vmlinux", vmlinux);
  return vmlinux;
}

Entry Store::build(const BuildSpec& spec, const BuildOptions& options) {
  check_name(spec.name);
  const fs::path target = directory_ / spec.name;
  const auto refuse_existing = [&] {
    if (!spec.replace && fs::exists(target)) {
      throw Error{
          ErrorCode::AlreadyExists,
          fmt::format("there is an image named '{}' already; replace it with: fireclaw image build --replace, or "
                      "remove it with: fireclaw image remove {}",
                      spec.name, spec.name)};
    }
  };
  refuse_existing();
  if (options.guestd.empty() || !fs::exists(options.guestd)) {
    throw Error{ErrorCode::NotFound,
                fmt::format("no guestd at '{}'; build or install fireclaw completely", options.guestd.string())};
  }
  const sys::FileLock lock = lock_name(lock_file(spec.name), spec.name, options, logger_);
  refuse_existing();

  const fs::path cache = options.cache.empty() ? directory_ / ".cache" : options.cache;
  sys::make_directories(cache);
  sys::TempDir folder{directory_, fmt::format("{}{}@", build_prefix, spec.name)};
  std::string manifest_digest;
  try {
    const auto share = [this](const fs::path& file, const std::string& sha256) { return share_kernel(file, sha256); };
    manifest_digest = ImageBuild{*this, share, logger_, spec, options, folder.path()}.run(cache);
  } catch (...) {
    rethrow_explained(directory_);
  }
  // Where it can be, both names change hands in one step, so that a reader finds an image at any moment; the old one
  // then goes with the folder.
  if (fs::exists(target)) {
    const auto kept = place_to_keep(target, manifest_digest, options);
    if (folder.exchange(target)) {
      if (!kept.empty()) folder.publish(kept);
      return open(spec.name);
    }
    kept.empty() ? discard(spec.name) : fs::rename(target, kept);
  }
  folder.publish(target);
  return open(spec.name);
}

}  // namespace fireclaw::image

#include "image/store/store.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "base/scope.hpp"
#include "fireclaw/error.hpp"
#include "image/namespaces.hpp"
#include "sys/digest.hpp"
#include "sys/file.hpp"

namespace fireclaw::image {

namespace {

namespace fs = std::filesystem;

bool is_letter_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

void check_size(const fs::path& file, const FileInfo& info) {
  std::error_code error;
  const auto bytes = fs::file_size(file, error);
  if (error) {
    throw Error{ErrorCode::Corrupt,
                fmt::format("image file '{}' is missing or unreadable: {}", file.string(), error.message())};
  }
  if (bytes != info.bytes) {
    throw Error{ErrorCode::Corrupt,
                fmt::format("image file '{}' has {} bytes, its manifest says {}", file.string(), bytes, info.bytes)};
  }
}

Entry read_entry(const fs::path& directory, const std::string& name) {
  Entry entry{read_manifest(directory / "manifest.json"), directory};
  if (entry.manifest.name != name) {
    throw Error{ErrorCode::Corrupt, fmt::format("'{}' is the manifest of image '{}', not of '{}'",
                                                (directory / "manifest.json").string(), entry.manifest.name, name)};
  }
  check_size(entry.kernel(), entry.manifest.kernel_file);
  check_size(entry.initramfs(), entry.manifest.initramfs);
  check_size(entry.rootfs(), entry.manifest.rootfs);
  return entry;
}

/// The image that a folder of the store's own belongs to: ".build-NAME@x1y2z3" -> NAME.
std::optional<std::string> owner_of(std::string_view folder) {
  for (const std::string_view prefix : {build_prefix, trash_prefix}) {
    if (folder.substr(0, prefix.size()) != prefix) continue;
    folder.remove_prefix(prefix.size());
    const std::size_t at = folder.find('@');
    if (at != std::string_view::npos && at > 0) return std::string{folder.substr(0, at)};
  }
  return std::nullopt;
}

}  // namespace

void check_name(std::string_view name, std::string_view what) {
  const bool good = !name.empty() && name.size() <= 64 && is_letter_or_digit(name.front()) &&
                    std::all_of(name.begin(), name.end(),
                                [](char c) { return is_letter_or_digit(c) || c == '.' || c == '_' || c == '-'; });
  if (good) return;
  const std::string shown = name.size() > 80 ? fmt::format("{}...", name.substr(0, 80)) : std::string{name};
  throw Error{ErrorCode::InvalidArgument,
              fmt::format("'{}' cannot be the name of {}: 1 to 64 letters, digits, '.', '_' or '-' are allowed, "
                          "beginning with a letter or digit",
                          shown, what)};
}

Store::Store(fs::path directory, Logger logger) : directory_{std::move(directory)}, logger_{std::move(logger)} {
  sys::make_directories(directory_);
}

fs::path Store::lock_file(const std::string& name) const {
  sys::make_directories(directory_ / ".locks");
  return directory_ / ".locks" / name;
}

std::vector<Entry> Store::list() const {
  std::vector<Entry> entries;
  for (const fs::directory_entry& item : fs::directory_iterator{directory_}) {
    const std::string name = item.path().filename().string();
    if (name.front() == '.' || !item.is_directory()) continue;
    try {
      check_name(name);
      entries.push_back(read_entry(item.path(), name));
    } catch (const Error& error) {
      // A reader may meet a folder that is renamed away under its hands.
      if (fs::exists(item.path())) logger_.warning(fmt::format("image '{}' left out: {}", name, error.what()));
    }
  }
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return a.manifest.name < b.manifest.name; });
  return entries;
}

std::optional<Entry> Store::find(const std::string& name) const {
  check_name(name);
  if (!fs::exists(directory_ / name)) return std::nullopt;
  return read_entry(directory_ / name, name);
}

std::optional<Entry> Store::find_build(const std::string& name, const std::string& digest) const {
  if (auto current = find(name); current && current->manifest.digest == digest) return current;
  const auto kept = directory_ / kept_folder / digest;
  if (digest.empty() || !fs::exists(kept)) return std::nullopt;
  return read_entry(kept, name);
}

std::vector<fs::path> Store::remove_kept(const std::function<bool(const std::string& digest)>& needed) {
  std::vector<fs::path> removed;
  if (!fs::exists(directory_ / kept_folder)) return removed;
  for (const fs::directory_entry& item : fs::directory_iterator{directory_ / kept_folder}) {
    if (needed(item.path().filename().string())) continue;
    sys::remove_tree(item.path());
    removed.push_back(item.path());
  }
  return removed;
}

Entry Store::open(const std::string& name) const {
  if (auto entry = find(name)) return *entry;
  throw Error{ErrorCode::NotFound,
              fmt::format("no image named '{}'; see: fireclaw image list; make one with: fireclaw image build", name)};
}

void Store::verify(const Entry& entry) const {
  const auto check = [](const fs::path& file, const FileInfo& info) {
    check_size(file, info);
    if (sys::sha256_file(file) != info.sha256) {
      throw Error{ErrorCode::Corrupt,
                  fmt::format("image file '{}' is damaged: its SHA-256 is not the manifest's; build the image again",
                              file.string())};
    }
  };
  check(entry.kernel(), entry.manifest.kernel_file);
  check(entry.initramfs(), entry.manifest.initramfs);
  check(entry.rootfs(), entry.manifest.rootfs);
}

void Store::discard(const std::string& name) const {
  const sys::TempDir trash{directory_, fmt::format("{}{}@", trash_prefix, name)};
  fs::rename(directory_ / name, trash.path() / name);
  sys::sync_directory(directory_);
}

void Store::remove(const std::string& name) {
  check_name(name);
  const auto lock = sys::FileLock::try_acquire(lock_file(name), sys::FileLock::Mode::Exclusive);
  if (!lock) {
    throw Error{ErrorCode::InvalidState, fmt::format("image '{}' is being built by another process right now", name)};
  }
  if (!fs::exists(directory_ / name)) {
    throw Error{ErrorCode::NotFound, fmt::format("no image named '{}'; see: fireclaw image list", name)};
  }
  discard(name);
}

std::vector<fs::path> Store::collect_garbage(const std::vector<fs::path>& search_path) {
  std::vector<fs::path> removed;
  for (const fs::directory_entry& item : fs::directory_iterator{directory_}) {
    const auto name = owner_of(item.path().filename().string());
    if (!name) continue;
    // A process that builds or removes holds the name's lock from before the folder appears until it is gone. A lock
    // ends with its holder, so nothing depends on process numbers.
    const auto lock = sys::FileLock::try_acquire(lock_file(*name), sys::FileLock::Mode::Exclusive);
    if (!lock || !fs::exists(item.path())) continue;
    remove_namespaced_tree(item.path(), Tools{search_path, {}, directory_, {}});
    removed.push_back(item.path());
  }
  return removed;
}

}  // namespace fireclaw::image

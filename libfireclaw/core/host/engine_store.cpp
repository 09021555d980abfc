#include "core/host/engine_store.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cctype>
#include <memory>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "base/scope.hpp"
#include "base/text.hpp"
#include "fireclaw/error.hpp"
#include "http/download.hpp"
#include "image/archives/compression.hpp"
#include "image/archives/tar.hpp"
#include "image/tools.hpp"
#include "state/settings/config.hpp"
#include "sys/fd.hpp"
#include "sys/file.hpp"
#include "sys/process.hpp"
#include "vmm/firecracker/driver.hpp"

namespace fireclaw::core {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view prefix = "firecracker-";
constexpr std::string_view program_name = "firecracker";
constexpr std::chrono::milliseconds version_limit{10'000};
constexpr std::chrono::seconds turn_limit{600};
/// A release with its debug symbols is a tenth of it.
constexpr std::uint64_t largest_archive = std::uint64_t{512} << 20;
constexpr std::uint64_t largest_program = std::uint64_t{256} << 20;
constexpr std::uint64_t largest_unpacked = std::uint64_t{2} << 30;

fs::path engines_folder(const Host::Impl& host) { return host.layout.home() / "engines"; }

std::string checked_digest(const std::string& digest) {
  const auto is_hex = [](unsigned char c) { return std::isxdigit(c) != 0; };
  if (digest.size() != 64 || !std::ranges::all_of(digest, is_hex)) {
    throw Error{
        ErrorCode::InvalidArgument,
        fmt::format("Firecracker from a URL needs its archive's SHA-256, 64 hexadecimal digits; got '{}'", digest)};
  }
  return to_lower(digest);
}

/// "release-v1.16.1-x86_64/firecracker-v1.16.1-x86_64"; its debug symbols are beside it.
bool is_program(const image::TarEntry& entry) {
  if (entry.is_hard_link || entry.node.type != image::NodeType::File) return false;
  const auto name = fs::path{entry.path}.filename().native();
  return name == program_name || (name.starts_with("firecracker-v") && name.ends_with("-x86_64"));
}

void unpack_program(const fs::path& archive, const fs::path& target, const image::Tools& tools, std::string_view url) {
  auto opened = std::make_shared<sys::Fd>(sys::open_file(archive, O_RDONLY));
  if (const auto compression = image::sniff_compression(archive); compression != image::Compression::None) {
    const fs::path unpacked = tools.temp / "archive.tar";
    const sys::Fd output = sys::open_file(unpacked, O_WRONLY | O_CREAT | O_EXCL);
    image::UnpackLimit limit{tools.temp, largest_unpacked};
    image::decompress(compression, opened->get(), output.get(), url, limit, tools);
    opened = std::make_shared<sys::Fd>(sys::open_file(unpacked, O_RDONLY));
  }
  for (const auto& entry : image::read_tar(opened, url)) {
    if (!is_program(entry) || entry.node.bytes > largest_program) continue;
    {
      const sys::Fd output = sys::open_file(target, O_WRONLY | O_CREAT | O_EXCL, 0755);
      sys::write_all(output.get(), image::read_content(entry.node, entry.path));
      sys::sync_fd(output.get(), target);
    }
    fs::permissions(target, fs::perms{0755});
    return;
  }
  throw Error{ErrorCode::InvalidArgument,
              fmt::format("'{}' holds no Firecracker for x86-64; name the .tgz of a release", url)};
}

}  // namespace

fs::path fetch_firecracker(const Host::Impl& host, const std::string& url, const std::string& sha256,
                           const ProgressCallback& progress, const std::stop_token& stop) {
  const auto digest = checked_digest(sha256);
  const auto folder = engines_folder(host);
  sys::make_directories(folder);
  const auto turn = sys::FileLock::acquire(host.layout.lock("engines"), sys::FileLock::Mode::Exclusive,
                                           Deadline::after(std::chrono::nanoseconds{turn_limit}),
                                           "another process, which fetches an engine");
  // Its beginning stays behind when the connection is lost; the next call fetches the rest.
  const auto archive = folder / fmt::format(".download-{}.tgz", digest);
  http::DownloadOptions options;
  options.sha256 = digest;
  options.max_bytes = largest_archive;
  options.stop = stop;
  options.progress = [&](std::uint64_t done, std::uint64_t total) {
    if (progress) progress({"download Firecracker", done, total, total != 0 && done == total});
  };
  http::download(url, archive, options);
  const ScopeGuard no_longer_needed{[&] {
    std::error_code left;
    fs::remove(archive, left);
  }};

  sys::TempDir fresh{folder, ".new-"};
  {
    const sys::TempDir work{folder, ".new-"};
    unpack_program(archive, fresh.path() / program_name, {host.options.search_path, {}, work.path(), stop}, url);
  }
  const auto version = vmm::firecracker::binary_version(fresh.path() / program_name, Deadline::after(version_limit));
  const auto target = folder / (std::string{prefix} + version);
  // One that runs keeps the file that it has open.
  if (!fs::exists(target) || !fresh.exchange(target)) {
    sys::remove_tree(target);
    fresh.publish(target);
  }
  return target / program_name;
}

std::vector<std::string> kept_firecrackers(const Host::Impl& host) {
  std::vector<std::string> versions;
  if (!fs::exists(engines_folder(host))) return versions;
  for (const auto& item : fs::directory_iterator{engines_folder(host)}) {
    const auto name = item.path().filename().native();
    if (name.starts_with(prefix)) versions.push_back(name.substr(prefix.size()));
  }
  return versions;
}

std::optional<fs::path> kept_firecracker(const Host::Impl& host, std::string_view version) {
  auto program = engines_folder(host) / (std::string{prefix} + std::string{version}) / program_name;
  if (version.empty() || !fs::exists(program)) return std::nullopt;
  return program;
}

std::vector<fs::path> remove_unneeded_engines(const Host::Impl& host) {
  std::vector<fs::path> removed;
  const auto turn = sys::FileLock::try_acquire(host.layout.lock("engines"), sys::FileLock::Mode::Exclusive);
  if (!turn) return removed;
  const auto config = host.config();
  const auto runs = host.runs.list();
  std::vector<std::string> identities;
  for (const auto& run : runs) identities.push_back(run.engine_identity);
  for (const auto& name : host.snapshots.names()) {
    try {
      if (const auto record = host.snapshots.find(name); record && !record->automatic) {
        identities.push_back(record->key.engine_identity);
      }
    } catch (const Error& problem) {
      host.logger.debug(problem.what());
    }
  }
  const auto versions = kept_firecrackers(host);
  const auto made = [&](const std::string& version) {
    return fs::last_write_time(engines_folder(host) / (std::string{prefix} + version));
  };
  // The last one that was fetched stays, also where it cannot be used yet.
  const auto newest = std::ranges::max_element(versions, {}, made);
  for (const auto& version : versions) {
    if (version == *newest) continue;
    const auto program = engines_folder(host) / (std::string{prefix} + version) / program_name;
    const bool is_named = std::ranges::any_of(
        config.engines, [&](const state::Config::Engine& entry) { return entry.verdict.binary == program; });
    const bool is_saved_with = std::ranges::any_of(
        identities, [&](const std::string& identity) { return vmm::firecracker::is_of_version(identity, version); });
    if (is_named || is_saved_with) continue;
    sys::remove_tree(program.parent_path());
    removed.push_back(program.parent_path());
  }
  return removed;
}

}  // namespace fireclaw::core

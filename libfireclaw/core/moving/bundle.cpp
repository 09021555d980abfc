#include "core/moving/bundle.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cstddef>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "base/text.hpp"
#include "core/workspaces/transfer.hpp"
#include "fireclaw/error.hpp"
#include "fireclaw/version.hpp"
#include "sys/digest.hpp"
#include "sys/file.hpp"

namespace fireclaw::core {
namespace {

constexpr std::string_view manifest_name = "manifest.json";
/// Far more than any record.
constexpr std::uint64_t most_text_bytes = std::uint64_t{4} << 20;
/// Holes cost nothing in an archive, but their digest costs hours.
constexpr std::uint64_t most_file_bytes = std::uint64_t{1} << 40;
constexpr std::size_t read_at_once = std::size_t{1} << 20;

Error foreign(std::string_view why) {
  return Error{ErrorCode::InvalidArgument, fmt::format("this is not an archive of fireclaw's: {}", why)};
}

std::string digest_of(const std::filesystem::path& path, const std::stop_token& stop) {
  const auto file = sys::open_file(path, O_RDONLY);
  std::vector<std::byte> buffer(read_at_once);
  sys::Sha256 digest;
  for (;;) {
    if (stop.stop_requested()) {
      throw Error{ErrorCode::Cancelled, fmt::format("reading '{}' was stopped", path.native())};
    }
    const auto got = sys::read_some(file.get(), buffer);
    if (got <= 0) return digest.hex();
    digest.update(std::span{buffer}.first(static_cast<std::size_t>(got)));
  }
}

}  // namespace

BundleManifest new_manifest(std::string kind) {
  return {std::move(kind), std::string{version()}, std::chrono::system_clock::now(), {}};
}

BundleManifest read_manifest(const json::Value& value, std::string_view kind) {
  auto manifest = json::read_record<BundleManifest>(value);
  if (manifest.kind != kind) {
    throw Error{ErrorCode::InvalidArgument,
                fmt::format("this is '{}', where '{}' is expected", one_line(manifest.kind), kind)};
  }
  return manifest;
}

BundledFile describe_file(std::string name, const BundleContent& content, const std::stop_token& stop) {
  if (const auto* text = std::get_if<std::string>(&content)) {
    return {std::move(name), text->size(), sys::sha256_hex(*text)};
  }
  const auto& path = std::get<std::filesystem::path>(content);
  return {std::move(name), std::filesystem::file_size(path), digest_of(path, stop)};
}

void write_bundle(std::string kind, const std::map<std::string, BundleContent>& files, int fd,
                  const std::stop_token& stop) {
  image::Tree tree;
  auto manifest = new_manifest(std::move(kind));
  for (const auto& [name, content] : files) {
    if (const auto* path = std::get_if<std::filesystem::path>(&content);
        path != nullptr && std::filesystem::file_size(*path) > most_file_bytes) {
      throw Error{ErrorCode::InvalidArgument, fmt::format("'{}' is larger than 1 TiB; no archive takes it", name)};
    }
    manifest.files.push_back(describe_file(name, content, stop));
    image::Node node;
    node.type = image::NodeType::File;
    node.mode = 0600;
    node.bytes = manifest.files.back().bytes;
    node.mtime = std::chrono::system_clock::to_time_t(manifest.created);
    if (const auto* text = std::get_if<std::string>(&content)) {
      node.content = *text;
    } else {
      node.content = image::HostFile{std::get<std::filesystem::path>(content)};
    }
    tree.add(name, std::move(node));
  }
  tree.file(manifest_name, 0600, json::record_text(manifest));
  image::TarOptions options;
  options.keep_holes = true;
  image::write_tar(tree, writer_to(fd, stop), {}, options);
}

Bundle::Bundle(int fd, const std::filesystem::path& scratch, std::string_view kind,
               const std::vector<std::string_view>& known, const image::Tools& tools) {
  for (auto& entry : image::read_tar(open_archive(fd, scratch, tools), "the archive", image::SparseMembers::Read)) {
    const auto name = entry.path;
    const bool is_known = name == manifest_name || std::ranges::find(known, name) != known.end();
    if (!is_known || entry.is_hard_link || entry.node.type != image::NodeType::File) {
      throw foreign(fmt::format("'{}' does not belong there", one_line(name)));
    }
    if (!members_.try_emplace(name, Member{std::move(entry), {}}).second) {
      throw foreign(fmt::format("'{}' is there twice", name));
    }
  }
  const auto found = members_.find(manifest_name);
  if (found == members_.end()) throw foreign(fmt::format("it has no {}", manifest_name));
  if (found->second.entry.node.bytes > most_text_bytes) throw foreign("its manifest is too long");
  const auto text = image::read_content(found->second.entry.node, manifest_name);
  const auto manifest = read_manifest(json::Value::parse(text, fmt::format("the archive's {}", manifest_name)), kind);
  members_.erase(found);
  for (const auto& file : manifest.files) {
    const auto there = members_.find(file.name);
    if (there == members_.end() || !there->second.said.name.empty()) {
      throw Error{ErrorCode::Corrupt,
                  fmt::format("the archive's manifest names '{}', which is not there once", one_line(file.name))};
    }
    if (there->second.entry.node.bytes != file.bytes) {
      throw Error{ErrorCode::Corrupt, fmt::format("'{}' has {} bytes, where the archive's manifest says {}", file.name,
                                                  there->second.entry.node.bytes, file.bytes)};
    }
    if (file.bytes > most_file_bytes) {
      throw Error{ErrorCode::Corrupt, fmt::format("the archive's '{}' is larger than 1 TiB", file.name)};
    }
    there->second.said = file;
  }
  std::uint64_t needed = 0;
  for (const auto& [name, member] : members_) {
    if (member.said.name.empty()) throw foreign(fmt::format("its manifest does not name '{}'", name));
    needed += image::allocated_bytes(member.entry);
  }
  // A byte between two holes is a few in an archive, and a block on the disk.
  if (const auto free = sys::free_bytes(scratch); needed > free) {
    throw Error{ErrorCode::Io, fmt::format("the archive takes {} MiB, and {} MiB are free below '{}'", needed >> 20,
                                           free >> 20, scratch.parent_path().string())};
  }
}

const Bundle::Member& Bundle::member(const std::string& name) const {
  const auto found = members_.find(name);
  if (found == members_.end()) throw Error{ErrorCode::Corrupt, fmt::format("the archive has no '{}'", name)};
  return found->second;
}

std::string Bundle::text(const std::string& name) const {
  const auto& [entry, said] = member(name);
  if (said.bytes > most_text_bytes || entry.pieces) {
    throw Error{ErrorCode::Corrupt, fmt::format("the archive's '{}' is too long", name)};
  }
  auto text = image::read_content(entry.node, name);
  if (sys::sha256_hex(text) != said.sha256) {
    throw Error{ErrorCode::Corrupt, fmt::format("the archive's '{}' is damaged: its SHA-256 is another", name)};
  }
  return text;
}

json::Value Bundle::json(const std::string& name) const {
  return json::Value::parse(text(name), fmt::format("the archive's {}", name));
}

void Bundle::extract(const std::string& name, const std::filesystem::path& target, const std::stop_token& stop) const {
  const auto& [entry, said] = member(name);
  {
    const auto file = sys::open_file(target, O_WRONLY | O_CREAT | O_EXCL);
    image::extract_file(entry, file.get(), stop);
    sys::sync_fd(file.get(), target);
  }
  if (digest_of(target, stop) != said.sha256) {
    throw Error{ErrorCode::Corrupt, fmt::format("the archive's '{}' is damaged: its SHA-256 is another", name)};
  }
}

}  // namespace fireclaw::core

#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <stop_token>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "image/archives/tar.hpp"
#include "image/tools.hpp"
#include "json/record.hpp"

/// Files that leave a home folder together, with a manifest that describes each: archives of agents and of
/// snapshots (a tar), backups (a folder).
namespace fireclaw::core {

struct BundledFile {
  std::string name;
  std::uint64_t bytes = 0;
  std::string sha256;
};

void describe(auto& field, json::Is<BundledFile> auto& file) {
  field("name", file.name);
  field("bytes", file.bytes);
  field("sha256", file.sha256);
}

struct BundleManifest {
  static constexpr unsigned schema = 1;

  /// "agent", "snapshot", "home".
  std::string kind;
  /// fireclaw's version.
  std::string made_by;
  std::chrono::system_clock::time_point created;
  std::vector<BundledFile> files;
};

void describe(auto& field, json::Is<BundleManifest> auto& manifest) {
  field.schema(BundleManifest::schema);
  field("kind", manifest.kind);
  field("made_by", manifest.made_by);
  field("created_ms", manifest.created);
  field("files", manifest.files);
}

BundleManifest new_manifest(std::string kind);
/// Error(InvalidArgument) unless it is of this kind.
BundleManifest read_manifest(const json::Value& value, std::string_view kind);

/// A text, or a file of this host.
using BundleContent = std::variant<std::string, std::filesystem::path>;

/// Size and digest as the manifest has them.
BundledFile describe_file(std::string name, const BundleContent& content, const std::stop_token& stop);

/// Writes the files and their manifest to a descriptor as a tar in which holes are holes. Error(InvalidArgument) if one
/// of them is larger than 1 TiB.
void write_bundle(std::string kind, const std::map<std::string, BundleContent>& files, int fd,
                  const std::stop_token& stop);

/// An archive to read. It is not trusted: it may have only files whose names the reader knows, all members must be
/// plain files that the manifest names once, and sizes and digests must match the manifest.
class Bundle {
 public:
  /// Reads the descriptor to its end; `scratch` is a folder for data that cannot be read back and forth.
  /// Error(InvalidArgument) if it is not such an archive or has files beyond `known`; Error(Corrupt) if it is torn or
  /// a file in it is larger than write_bundle() writes.
  Bundle(int fd, const std::filesystem::path& scratch, std::string_view kind,
         const std::vector<std::string_view>& known, const image::Tools& tools);

  [[nodiscard]] bool has(const std::string& name) const { return members_.contains(name); }
  /// A small file's content. Error(Corrupt) if it is not there or not as the manifest says.
  [[nodiscard]] std::string text(const std::string& name) const;
  [[nodiscard]] json::Value json(const std::string& name) const;
  /// A file's size, with its holes. Error(Corrupt) if it is not there.
  [[nodiscard]] std::uint64_t bytes(const std::string& name) const { return member(name).said.bytes; }
  /// Writes a file to `target`, which must not exist. Errors likewise.
  void extract(const std::string& name, const std::filesystem::path& target, const std::stop_token& stop) const;

 private:
  struct Member {
    image::TarEntry entry;
    BundledFile said;
  };
  [[nodiscard]] const Member& member(const std::string& name) const;

  std::map<std::string, Member, std::less<>> members_;
};

}  // namespace fireclaw::core

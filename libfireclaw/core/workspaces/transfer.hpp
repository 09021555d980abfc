#pragma once

#include <cstdint>
#include <filesystem>
#include <stop_token>
#include <string>
#include <string_view>

#include "fireclaw/vm.hpp"
#include "image/archives/file_tree.hpp"
#include "image/tools.hpp"

/// Between a workspace and what people have on the host: folders and tar files.
namespace fireclaw::core {

struct Owner {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
};

/// `path` without empty and "." components. Error(InvalidArgument) if it has "..".
std::string normal_path(std::string_view path);
/// "a" + "b" = "a/b".
std::string joined(const std::string& folder, std::string_view name);

/// Puts a host file or folder into the tree at `place`, owned by `owner`. Symbolic links are taken as they are;
/// sockets, pipes and devices are passed over. Error(NotFound) if there is nothing. Contents stay on the host.
CopyResult add_host_files(image::Tree& tree, const std::string& place, const std::filesystem::path& source, Owner owner,
                          const std::stop_token& stop);
/// What cp would call a copy of `source`.
std::string name_for_copy(const std::filesystem::path& source);

/// Writes what is at `place` of a tree that a guest may have made to `target`, as cp -a does under the name `name`
/// (empty: a folder's content into the folder `target`). Contents must be HostFiles. Nothing is written elsewhere.
CopyResult write_host_files(const image::Tree& tree, const std::string& place, const std::filesystem::path& target,
                            const std::string& name, const std::stop_token& stop);

/// Reads a tar, plain or compressed, from a descriptor to its end. It is kept in `scratch`, where the tree's contents
/// stay. Folders that the tar only implies belong to `owner`; as far as `existing` has them, they are as there.
image::Tree read_archive(int fd, const std::filesystem::path& scratch, Owner owner, const image::Tree* existing,
                         const image::Tools& tools);

/// Streams a tree to a descriptor as a tar.
void write_archive(const image::Tree& tree, int fd, const std::stop_token& stop);

}  // namespace fireclaw::core

#pragma once

#include <cstdint>
#include <filesystem>
#include <stop_token>
#include <string>
#include <string_view>

#include "core/host/impl.hpp"
#include "fireclaw/vm.hpp"
#include "image/archives/file_tree.hpp"
#include "image/archives/tar.hpp"
#include "image/tools.hpp"

/// Copies between a workspace and folders and tar files of the host.
namespace fireclaw::core {

struct Owner {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
};

/// `path` without empty and "." components. Error(InvalidArgument) if it has "..".
std::string normal_path(std::string_view path);
/// "a" + "b" = "a/b".
std::string joined(const std::string& folder, std::string_view name);

/// Puts a host file or folder into the tree at `place`, owned by `owner`. Symbolic links stay as they are;
/// sockets, pipes and devices are left out. Error(NotFound) if there is nothing. Contents stay on the host.
CopyResult add_host_files(image::Tree& tree, const std::string& place, const std::filesystem::path& source, Owner owner,
                          const std::stop_token& stop);
/// The name that cp gives a copy of `source`.
std::string name_for_copy(const std::filesystem::path& source);

/// A tar that is read from a descriptor to its end, unpacked if it is compressed. What cannot be read back and forth as
/// it is, is kept in `scratch`.
std::shared_ptr<const sys::Fd> open_archive(int fd, const std::filesystem::path& scratch, const image::Tools& tools);

/// Reads a tar, plain or compressed, from a descriptor to its end. It is kept in `scratch`, where the tree's contents
/// stay. Folders that the tar only implies belong to `owner`.
image::Tree read_archive(int fd, const std::filesystem::path& scratch, Owner owner, const image::Tools& tools);

/// Gives files of the tree the capabilities that guestd listed ("HEX PATH\0" each); paths that are not files in it are
/// passed over. Error(Guest) for anything else.
void add_capabilities(image::Tree& tree, std::string_view listed);

/// Writes to a descriptor until a stop: Error(Cancelled).
image::Sink writer_to(int fd, const std::stop_token& stop);
/// Streams the content of workspace `name` to a descriptor as a tar that root can unpack: without device nodes,
/// set-id bits and extended attributes. Warns of what is left out.
void write_archive(const Host::Impl& host, std::string_view name, const image::Tree& tree, int fd,
                   const std::stop_token& stop);

}  // namespace fireclaw::core

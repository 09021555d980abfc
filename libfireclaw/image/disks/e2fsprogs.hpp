#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "fireclaw/error.hpp"
#include "image/tools.hpp"
#include "sys/process.hpp"

/// Runs the programs of e2fsprogs, for the files of this room that deal with ext4.
namespace fireclaw::image {

/// The program's full path.
std::string require_e2fsprogs(const Tools& tools, const std::string& program);
/// A deadline beyond the time for a healthy file system of that size on a slow disk.
Deadline tool_deadline(std::uint64_t bytes);
/// The program's sandbox: it sees that file, to read and write, and its own program and libraries.
sys::Sandbox confine_tool(const std::filesystem::path& program, const std::filesystem::path& image, std::uint64_t bytes,
                          sys::Confinement level);
/// Runs a program on an image that may be hostile and may grow to `bytes`. It has no privileges, limits on memory, file
/// size and time, and the best sandbox that this host allows: its own root, or Landlock, or none. An image that keeps
/// it busy beyond tool_deadline() or makes it crash is Error(Corrupt). `argv` names the image by its canonical
/// path.
sys::ToolResult run_confined(const std::vector<std::string>& argv, const std::filesystem::path& image,
                             std::uint64_t bytes, const Tools& tools);
/// The Error(Io) that names the place where the disk is full.
Error disk_full(const std::filesystem::path& folder);
/// The error for a program's failure: Error(Io) "disk is full" with the place if it says so, else Error(Io) with its
/// words.
Error tool_error(std::string_view program, const sys::ToolResult& result, const std::filesystem::path& image);

}  // namespace fireclaw::image

#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "fireclaw/error.hpp"
#include "image/tools.hpp"
#include "sys/process.hpp"

/// How the programs of e2fsprogs are run. For the files of this room that deal with ext4.
namespace fireclaw::image {

/// The program's full path.
std::string require_e2fsprogs(const Tools& tools, const std::string& program);
/// More than a healthy file system of that size takes on a slow disk.
Deadline tool_deadline(std::uint64_t bytes);
/// What the program sees: that file, to be read and written, and what it is run from.
sys::Sandbox confine_tool(const std::filesystem::path& program, const std::filesystem::path& image, std::uint64_t bytes,
                          sys::Confinement level);
/// Runs a program on an image that may be hostile and may grow to `bytes`. It has no privileges, limits on memory, file
/// size and time, and sees as little else as this machine can arrange: its own root, or Landlock, or neither. One that
/// keeps it busy beyond tool_deadline() or makes it crash is Error(Corrupt). `argv` names the image by its canonical
/// path.
sys::ToolResult run_confined(const std::vector<std::string>& argv, const std::filesystem::path& image,
                             std::uint64_t bytes, const Tools& tools);
/// Error(Io) that names the place where nothing more can be written.
Error disk_full(const std::filesystem::path& folder);
/// What a program's failure means: Error(Io) "disk is full" with the place if it says so, else Error(Io) with its
/// words.
Error tool_error(std::string_view program, const sys::ToolResult& result, const std::filesystem::path& image);

}  // namespace fireclaw::image

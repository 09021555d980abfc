#include "image/disks/e2fsprogs.hpp"

#include <fmt/format.h>

#include <chrono>
#include <exception>
#include <utility>

#include "sys/file.hpp"

namespace fireclaw::image {

namespace {

constexpr std::chrono::seconds least_limit{60};
constexpr std::uint64_t slow_bytes_per_second = std::uint64_t{64} << 20;
constexpr std::size_t most_quoted = 600;

}  // namespace

std::string require_e2fsprogs(const Tools& tools, const std::string& program) {
  return tools.require(program, "e2fsprogs").string();
}

Deadline tool_deadline(std::uint64_t bytes) {
  return Deadline::after(least_limit + std::chrono::seconds{bytes / slow_bytes_per_second});
}

sys::ToolResult run_limited(std::vector<std::string> argv, const std::filesystem::path& image, const Tools& tools) {
  return run_limited(std::move(argv), image, tools.options(), tool_deadline(sys::allocated_bytes(image)));
}

sys::ToolResult run_limited(std::vector<std::string> argv, const std::filesystem::path& image, sys::ToolOptions options,
                            Deadline deadline) {
  const std::string program = std::filesystem::path{argv.front()}.filename().string();
  options.deadline = deadline;
  try {
    sys::ToolResult result = sys::run_tool(std::move(argv), options);
    if (result.status.signal == 0) return result;
    throw Error{ErrorCode::Corrupt,
                fmt::format("'{}' is damaged: {} {} on it", image.string(), program, result.status.describe())};
  } catch (const Error& error) {
    if (error.code() != ErrorCode::Timeout) throw;
    throw Error{ErrorCode::Corrupt,
                fmt::format("'{}' is damaged: {} did not come to an end with it", image.string(), program),
                std::current_exception()};
  }
}

Error disk_full(const std::filesystem::path& folder) {
  return Error{ErrorCode::Io, fmt::format("disk is full: nothing more can be written below '{}'; free some space there "
                                          "and try again",
                                          folder.string())};
}

Error tool_error(std::string_view program, const sys::ToolResult& result, const std::filesystem::path& image) {
  std::string said = result.err.empty() ? result.out : result.err;
  while (!said.empty() && (said.back() == '\n' || said.back() == ' ')) said.pop_back();
  if (said.find("No space left on device") != std::string::npos) return disk_full(image.parent_path());
  if (said.size() > most_quoted) said.erase(0, said.size() - most_quoted);
  return Error{ErrorCode::Io,
               fmt::format("{} {} on '{}': {}", program, result.status.describe(), image.string(), one_line(said))};
}

}  // namespace fireclaw::image

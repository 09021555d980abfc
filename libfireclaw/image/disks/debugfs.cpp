#include "image/disks/debugfs.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "base/text.hpp"
#include "fireclaw/error.hpp"
#include "image/disks/e2fsprogs.hpp"
#include "sys/fd.hpp"
#include "sys/file.hpp"

namespace fireclaw::image {

namespace {

/// debugfs reads lines into a buffer of 8192 bytes.
constexpr std::size_t longest_line = 8000;
constexpr std::size_t most_output = std::size_t{256} << 20;

bool says_full(std::string_view complaint) {
  for (const std::string_view text : {"Could not allocate block", "Could not allocate inode", "No space left on device",
                                      "No free space in the directory"}) {
    if (complaint.find(text) != std::string_view::npos) return true;
  }
  return false;
}

/// What is on standard error beside the version.
std::string complaint_in(std::string_view err) {
  std::string rest;
  while (!err.empty()) {
    const std::string_view line = err.substr(0, err.find('\n'));
    err.remove_prefix(std::min(err.size(), line.size() + 1));
    if (line.empty() || line.starts_with("debugfs 1.")) continue;
    if (!rest.empty()) rest += '\n';
    rest += line;
    if (rest.size() > 500) break;
  }
  return one_line(rest);
}

}  // namespace

Debugfs::Debugfs(std::filesystem::path image, std::filesystem::path folder, Tools tools)
    : image_{std::filesystem::absolute(image)}, folder_{std::move(folder)}, tools_{std::move(tools)} {}

Debugfs::Outcome Debugfs::run(std::vector<std::string> argv, const std::vector<std::string>& commands,
                              std::uint64_t more_bytes) const {
  std::string script;
  for (const std::string& command : commands) {
    if (command.size() > longest_line) {
      throw Error{ErrorCode::InvalidArgument, fmt::format("'{}...' is too long a path", command.substr(0, 80))};
    }
    script += command;
    script += '\n';
  }
  const sys::Fd input = sys::make_memfd("debugfs-commands", 0);
  sys::write_all(input.get(), script);
  sys::check(::lseek(input.get(), 0, SEEK_SET), "rewind debugfs's commands");
  // Not collected in memory by run_tool, which keeps only so much.
  const sys::Fd output = sys::make_memfd("debugfs-output", 0);

  argv.insert(argv.end(), {"-f", "-", image_.string()});
  sys::ToolOptions options = tools_.options();
  options.cwd = folder_;
  options.input_fd = input.get();
  options.output_fd = output.get();
  const sys::ToolResult result =
      run_limited(std::move(argv), image_, options, tool_deadline(sys::allocated_bytes(image_) + more_bytes));

  Outcome outcome;
  const auto length = static_cast<std::size_t>(sys::check(::lseek(output.get(), 0, SEEK_END), "read debugfs's output"));
  if (length > most_output) {
    throw Error{ErrorCode::Corrupt, fmt::format("'{}' is damaged: debugfs says too much of it", image_.string())};
  }
  outcome.out.resize(length);
  std::size_t got = 0;
  while (got < length) {
    const auto count =
        sys::check(sys::retry([&] {
                     return ::pread(output.get(), outcome.out.data() + got, length - got, static_cast<off_t>(got));
                   }),
                   "read debugfs's output");
    if (count == 0) break;
    got += static_cast<std::size_t>(count);
  }
  outcome.out.resize(got);
  outcome.complaint = complaint_in(result.err);
  if (!result.status.success() && outcome.complaint.empty()) outcome.complaint = "debugfs " + result.status.describe();
  return outcome;
}

std::string Debugfs::read(const std::vector<std::string>& commands, std::uint64_t more_bytes) const {
  Outcome outcome = run({require_e2fsprogs(tools_, "debugfs")}, commands, more_bytes);
  if (outcome.complaint.empty()) return std::move(outcome.out);
  if (says_full(outcome.complaint)) throw disk_full(folder_);
  throw Error{ErrorCode::Corrupt, fmt::format("'{}' cannot be read: {}", image_.string(), outcome.complaint)};
}

void Debugfs::write(const std::vector<std::string>& commands, std::uint64_t more_bytes) const {
  const Outcome outcome = run({require_e2fsprogs(tools_, "debugfs"), "-w"}, commands, more_bytes);
  if (outcome.complaint.empty()) return;
  if (outcome.complaint.find("No space left on device") != std::string::npos) throw disk_full(image_.parent_path());
  if (says_full(outcome.complaint)) {
    throw Error{ErrorCode::Io, fmt::format("the file system in '{}' is full", image_.filename().string())};
  }
  throw Error{ErrorCode::Io, fmt::format("'{}' cannot be changed: {}", image_.string(), outcome.complaint)};
}

std::string Debugfs::quote(std::string_view text) {
  std::string quoted{'"'};
  for (const char c : text) {
    if (c == '\n' || c == '\r' || c == '\0') {
      throw Error{ErrorCode::InvalidArgument,
                  fmt::format("'{}' cannot be put on a disk that is not in use, because of the line end in it; start a "
                              "machine with the disk for that",
                              one_line(text))};
    }
    if (c == '"') quoted += c;
    quoted += c;
  }
  return quoted + '"';
}

}  // namespace fireclaw::image

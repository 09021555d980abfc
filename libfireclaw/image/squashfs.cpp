#include "image/squashfs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <limits>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "fireclaw/error.hpp"
#include "image/tar.hpp"
#include "sys/fd.hpp"
#include "sys/socket.hpp"

namespace fireclaw::image {

namespace {

/// Up to here a root file system is stored as it is: reading it then costs the guest nothing but the copy, which
/// counts where the guest is emulated. Beyond, what it takes on disk and in the host's page cache counts more.
constexpr std::uint64_t uncompressed_up_to_bytes = std::uint64_t{16} << 20;

/// sqfstar dates the image and its root folder today unless this says otherwise (it has an option for the root's
/// date, but does not heed it when it reads a tar). Later dates are cut to this one, so it must be the latest.
std::int64_t newest_file(const Tree& tree) {
  std::int64_t newest = 0;
  for (const auto& [path, node] : tree.nodes()) newest = std::max(newest, node->mtime);
  return std::min<std::int64_t>(newest, std::numeric_limits<std::int32_t>::max());
}

}  // namespace

void make_squashfs(const Tree& tree, const std::filesystem::path& target, const Tools& tools,
                   const std::function<void(std::uint64_t done, std::uint64_t total)>& progress) {
  const std::uint64_t total = content_bytes(tree);
  const Node& root = *tree.nodes().at("");
  std::vector<std::string> argv{tools.require("sqfstar", "squashfs-tools").string(),
                                "-quiet",
                                "-no-progress",
                                "-exit-on-error",
                                "-reproducible",
                                "-comp",
                                "zstd",
                                "-root-mode",
                                fmt::format("{:o}", root.mode),
                                "-root-uid",
                                std::to_string(root.uid),
                                "-root-gid",
                                std::to_string(root.gid)};
  if (total <= uncompressed_up_to_bytes) argv.insert(argv.end(), {"-noI", "-noD", "-noF", "-noX"});
  argv.push_back(target.string());

  // A socket pair rather than a pipe: when sqfstar ends early, writing to it fails with EPIPE and raises no SIGPIPE,
  // which would be the host program's.
  std::pair<sys::Fd, sys::Fd> ends = sys::socket_pair();
  std::optional<sys::Fd> feed{std::move(ends.first)};
  std::exception_ptr failure;
  sys::ToolOptions options = tools.options();
  options.input_fd = ends.second.get();
  std::erase_if(options.env, [](const std::string& other) { return other.rfind("SOURCE_DATE_EPOCH=", 0) == 0; });
  options.env.push_back(fmt::format("SOURCE_DATE_EPOCH={}", newest_file(tree)));

  std::jthread writer{[&] {
    try {
      write_tar(
          tree,
          [&](std::string_view bytes) {
            tools.check_stop();
            sys::write_all(feed->get(), bytes);
          },
          [&](std::uint64_t done) {
            if (progress) progress(done, total);
          });
    } catch (...) {
      failure = std::current_exception();
    }
    feed.reset();
  }};
  std::exception_ptr tool_failure;
  try {
    sys::check_tool(std::move(argv), options);
  } catch (...) {
    tool_failure = std::current_exception();
  }
  // Nobody reads any more: a writer that still waits is woken.
  { const sys::Fd closed{std::move(ends.second)}; }
  writer.join();
  // The first cause: a tool that fails makes writing to it fail; a tar that ends early makes the tool fail.
  const auto is_broken_pipe = [](const std::exception_ptr& error) {
    try {
      std::rethrow_exception(error);
    } catch (const std::exception& e) {
      return std::string_view{e.what()}.find("Broken pipe") != std::string_view::npos;
    }
  };
  if (failure && !(tool_failure && is_broken_pipe(failure))) std::rethrow_exception(failure);
  if (tool_failure) std::rethrow_exception(tool_failure);
}

}  // namespace fireclaw::image

#include "image/archives/squashfs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <limits>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "fireclaw/error.hpp"
#include "image/archives/tar.hpp"
#include "sys/fd.hpp"
#include "sys/socket.hpp"

namespace fireclaw::image {

namespace {

/// Up to here a root file system is stored as it is: reading it then costs the guest nothing but the copy, which
/// counts where the guest is emulated. Beyond, what it takes on disk and in the host's page cache counts more.
constexpr std::uint64_t uncompressed_up_to_bytes = std::uint64_t{16} << 20;

/// A Debian root of 178 MiB takes 54.6 MiB at level 6 and 1.8 s of a processor; the default level, 15, saves another 4
/// MiB and takes 24 s.
constexpr const char* compression_level = "6";

/// What squashfs can hold: 32 bits without a sign. mksquashfs refuses earlier times, and wraps later ones around.
constexpr TimeRange representable{0, std::numeric_limits<std::uint32_t>::max()};

/// mksquashfs dates the image and its root folder today unless this says otherwise (it has an option for the root's
/// date, but does not heed it when it reads a tar). Later dates are cut to this one, so it must be the latest.
std::int64_t newest_file(const Tree& tree) {
  std::int64_t newest = 0;
  for (const auto& [path, node] : tree.nodes()) newest = std::max(newest, node->mtime);
  return std::min(newest, representable.latest);
}

}  // namespace

void make_squashfs(const Tree& tree, const std::filesystem::path& target, const Tools& tools,
                   const std::function<void(std::uint64_t done, std::uint64_t total)>& progress) {
  const std::uint64_t total = content_bytes(tree);
  const Node& root = *tree.nodes().at("");
  // Not sqfstar, which is made for this, but in 4.5.1 takes no option of a compressor.
  std::vector<std::string> argv{tools.require("mksquashfs", "squashfs-tools").string(),
                                "-",
                                target.string(),
                                "-tar",
                                "-quiet",
                                "-no-progress",
                                "-exit-on-error",
                                "-reproducible",
                                "-comp",
                                "zstd",
                                "-Xcompression-level",
                                compression_level,
                                "-root-mode",
                                fmt::format("{:o}", root.mode),
                                "-root-uid",
                                std::to_string(root.uid),
                                "-root-gid",
                                std::to_string(root.gid)};
  if (total <= uncompressed_up_to_bytes) argv.insert(argv.end(), {"-noI", "-noD", "-noF", "-noX"});

  // A socket pair rather than a pipe: when mksquashfs ends early, writing to it fails with EPIPE and raises no SIGPIPE,
  // which would be the host program's.
  std::pair<sys::Fd, sys::Fd> ends = sys::socket_pair();
  std::optional<sys::Fd> feed{std::move(ends.first)};
  std::exception_ptr failure;
  bool reader_gone = false;
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
            try {
              sys::write_all(feed->get(), bytes);
            } catch (...) {
              reader_gone = true;
              throw;
            }
          },
          [&](std::uint64_t done) {
            if (progress) progress(done, total);
          },
          {.times = representable});
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
  if (failure && !(tool_failure && reader_gone)) std::rethrow_exception(failure);
  if (tool_failure) std::rethrow_exception(tool_failure);
}

}  // namespace fireclaw::image

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "fireclaw/error.hpp"
#include "image/namespaces.hpp"
#include "image/rootfs.hpp"
#include "sys/file.hpp"

namespace fireclaw::image {

namespace {

namespace fs = std::filesystem;

/// Suites, packages and mirrors become words of a command line; none may pass for an option or a list of words.
void check_word(std::string_view word, std::string_view what) {
  const bool good = !word.empty() && word.front() != '-' && std::all_of(word.begin(), word.end(), [](char c) {
    return c > ' ' && c < 0x7f && c != ',' && c != '\'' && c != '"' && c != '\\';
  });
  if (!good) throw Error{ErrorCode::InvalidArgument, fmt::format("'{}' cannot be a {}", word, what)};
}

std::string join(const std::vector<std::string>& words) {
  std::string result;
  for (const std::string& word : words) result += (result.empty() ? "" : ",") + word;
  return result;
}

/// mmdebstrap reports "I: installing packages..."; those lines are its steps.
std::string_view step_in(std::string_view line) {
  return line.substr(0, 3) == "I: " ? line.substr(3) : std::string_view{};
}

}  // namespace

Tree make_debian_root(const Debian& source, const RootContext& context) {
  const Tools& tools = context.tools;
  check_word(source.suite, "Debian suite");
  for (const std::string& package : source.packages) check_word(package, "package name");
  if (!source.mirror.empty()) check_word(source.mirror, "mirror");
  const std::string mmdebstrap = tools.require("mmdebstrap", "mmdebstrap").string();
  const fs::path archive = tools.temp / "rootfs.tar";

  std::vector<std::string> argv = namespaced(tools);
  const bool is_root_inside = !argv.empty() || ::geteuid() == 0;
  if (!is_root_inside && !sys::find_program("fakechroot", tools.search_path)) {
    throw Error{
        ErrorCode::PermissionDenied,
        "making a Debian root as an ordinary user takes a user namespace with sub-ids, which cannot be had here; "
        "run: apt-get install uidmap; usermod --add-subuids 100000-165535 --add-subgids 100000-165535 YOU (as "
        "root), or build the image as root"};
  }
  argv.insert(argv.end(), {mmdebstrap,
                           // Root in a user namespace of our own can do what root can; without one, mmdebstrap has
                           // its own ways (fakechroot).
                           is_root_inside ? "--mode=root" : "--mode=auto", "--variant=minbase", "--format=tar"});
  if (!source.packages.empty()) argv.push_back("--include=" + join(source.packages));
  argv.insert(argv.end(), {source.suite, archive.string()});
  if (!source.mirror.empty()) argv.push_back(source.mirror);

  sys::ToolOptions options = tools.options();
  options.on_line = [&](std::string_view line) {
    if (const auto step = step_in(line); !step.empty() && context.step) context.step(fmt::format("debian: {}", step));
  };
  const sys::ToolResult result = sys::run_tool(std::move(argv), options);
  if (!result.status.success()) {
    std::string reason;
    std::string_view rest = result.err;
    while (!rest.empty()) {
      const std::size_t end = rest.find('\n');
      const std::string_view line = rest.substr(0, end);
      if (line.substr(0, 3) == "E: " || line.substr(0, 5) == "Err: ") {
        reason += fmt::format("{}{}", reason.empty() ? "" : "; ", line);
      }
      if (end == std::string_view::npos) break;
      rest.remove_prefix(end + 1);
    }
    throw Error{ErrorCode::Io,
                fmt::format("mmdebstrap could not make Debian '{}': {}; check the suite's and the packages' names and "
                            "that the mirror can be reached",
                            source.suite, reason.empty() ? result.status.describe() : reason)};
  }
  Tree tree = read_tar_root(archive, tools);
  // What only a build leaves, and what must differ from machine to machine.
  for (const char* path : {"etc/machine-id", "var/lib/dbus/machine-id", "etc/hostname", "etc/resolv.conf"}) {
    tree.remove(path);
  }
  tree.file("etc/machine-id", 0444, "");
  tree.file("etc/hostname", 0644, "fireclaw\n");
  tree.file("etc/hosts", 0644, "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n");
  tree.file("etc/resolv.conf", 0644, "");
  return tree;
}

}  // namespace fireclaw::image

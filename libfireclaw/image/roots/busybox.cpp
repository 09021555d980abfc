#include <fmt/format.h>

#include "fireclaw/error.hpp"
#include "image/kernel/elf.hpp"
#include "image/roots/rootfs.hpp"
#include "sys/digest.hpp"
#include "sys/file.hpp"

namespace fireclaw::image {

namespace {

constexpr std::string_view passwd =
    "root:x:0:0:root:/root:/bin/sh\n"
    "nobody:x:65534:65534:nobody:/nonexistent:/bin/false\n";
constexpr std::string_view group =
    "root:x:0:\n"
    "tty:x:5:\n"
    "nogroup:x:65534:\n";
constexpr std::string_view hosts =
    "127.0.0.1\tlocalhost\n"
    "::1\tlocalhost ip6-localhost\n";
constexpr std::string_view os_release =
    "NAME=\"fireclaw\"\n"
    "ID=fireclaw\n"
    "PRETTY_NAME=\"fireclaw built-in image (busybox)\"\n";
constexpr std::string_view profile =
    "export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
    "export PS1='\\u@\\h:\\w\\$ '\n";

/// For a busybox that was built without wget's timeout, as Debian's is: it crashes when it is given one.
constexpr std::string_view wget_path = "usr/bin/wget";
constexpr std::string_view wget = R"(#!/bin/sh
# This busybox's wget has no timeout and crashes when it is given one: this keeps the time.
seconds=
left=$#
while [ "$left" -gt 0 ]; do
  word=$1
  shift
  left=$((left - 1))
  case $word in
    --timeout=*) seconds=${word#*=}; continue ;;
    --timeout) seconds=$1; shift; left=$((left - 1)); continue ;;
    --*) ;;
    -*T*)
      flags=${word%%T*}
      case $flags in
        *[OoPUYt]*) ;;
        *)
          seconds=${word#"$flags"T}
          [ -n "$seconds" ] || { seconds=$1; shift; left=$((left - 1)); }
          [ "$flags" != - ] || continue
          word=$flags
          ;;
      esac
      ;;
  esac
  set -- "$@" "$word"
done
[ -n "$seconds" ] || exec /bin/busybox wget "$@"
/bin/busybox timeout "$seconds" /bin/busybox wget "$@"
status=$?
[ "$status" -ne 143 ] && [ "$status" -ne 124 ] || { echo "wget: download timed out" >&2; status=1; }
exit "$status"
)";

bool wget_has_timeout(const std::filesystem::path& busybox, const Tools& tools) {
  const auto help = sys::run_tool({busybox.string(), "wget", "--help"}, tools.options());
  return (help.out + help.err).find("-T ") != std::string::npos;
}

std::filesystem::path find_busybox(const std::filesystem::path& wanted, const Tools& tools) {
  return wanted.empty() ? tools.require("busybox", "busybox-static") : wanted;
}

}  // namespace

Tree make_busybox_root(const std::filesystem::path& busybox, const Tools& tools) {
  const std::filesystem::path program = find_busybox(busybox, tools);
  std::string bytes = sys::read_file(program);
  if (ElfView{bytes, program.string()}.has_segment(ElfView::segment_interpreter)) {
    throw Error{ErrorCode::InvalidArgument,
                fmt::format("'{}' is not a static program; install one with: apt-get install busybox-static",
                            program.string())};
  }

  Tree tree;
  for (const char* folder : {"bin", "dev", "etc", "home", "mnt", "proc", "run", "sbin", "sys", "usr/bin", "usr/sbin",
                             "var/log", "workspace"}) {
    tree.directory(folder);
  }
  tree.directory("root", 0700);
  tree.directory("tmp", 01777);
  tree.directory("var/tmp", 01777);
  tree.symlink("var/run", "../run");
  tree.file("bin/busybox", 0755, std::move(bytes));
  // The program knows its commands and where each belongs: "usr/bin/env", one a line.
  const sys::ToolResult listed = sys::check_tool({program.string(), "--list-full"}, tools.options());
  std::string_view rest = listed.out;
  while (!rest.empty()) {
    const std::size_t end = rest.find('\n');
    const std::string_view command = rest.substr(0, end);
    if (command == wget_path && !wget_has_timeout(program, tools)) {
      tree.file(command, 0755, std::string{wget});
    } else if (!command.empty() && !tree.find(command)) {
      tree.symlink(command, "/bin/busybox");
    }
    if (end == std::string_view::npos) break;
    rest.remove_prefix(end + 1);
  }
  if (!tree.find("bin/sh")) {
    throw Error{ErrorCode::InvalidArgument, fmt::format("'{}' is not a busybox with a shell", program.string())};
  }

  tree.file("etc/passwd", 0644, std::string{passwd});
  tree.file("etc/group", 0644, std::string{group});
  tree.file("etc/shadow", 0600, "root:*:1::::::\nnobody:*:1::::::\n");
  tree.file("etc/hosts", 0644, std::string{hosts});
  tree.file("etc/hostname", 0644, "fireclaw\n");
  tree.file("etc/nsswitch.conf", 0644, "passwd: files\ngroup: files\nhosts: files dns\n");
  tree.file("etc/resolv.conf", 0644, "");
  tree.file("etc/os-release", 0644, std::string{os_release});
  tree.file("etc/profile", 0644, std::string{profile});
  tree.file("etc/shells", 0644, "/bin/sh\n");
  return tree;
}

std::string busybox_recipe(const Tree& root) {
  sys::Sha256 digest;
  for (const auto& [path, node] : root.nodes()) {
    digest.update(fmt::format("{} {:o} {} {}\n", path, node->mode, static_cast<int>(node->type), node->target));
    if (node->type == NodeType::File) digest.update(read_content(*node, path));
  }
  return digest.hex();
}

}  // namespace fireclaw::image

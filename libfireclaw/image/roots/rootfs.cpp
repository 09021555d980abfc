#include "image/roots/rootfs.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "fireclaw/error.hpp"
#include "image/archives/compression.hpp"
#include "image/archives/tar.hpp"
#include "image/roots/debian_agent.hpp"
#include "sys/file.hpp"

namespace fireclaw::image {

namespace {

template <typename... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <typename... F>
Overloaded(F...) -> Overloaded<F...>;

/// Folders that guestd mounts on or that commands are started in; a root from elsewhere may lack them.
void complete(Tree& tree) {
  for (const char* folder : {"dev", "proc", "run", "sys", "workspace"}) {
    if (!tree.find(folder)) tree.directory(folder);
  }
  if (!tree.find("tmp")) tree.directory("tmp", 01777);
}

}  // namespace

Tree read_tar_root(const std::filesystem::path& file, const Tools& tools) {
  auto opened = std::make_shared<sys::Fd>(sys::open_file(file, O_RDONLY));
  const Compression compression = sniff_compression(file);
  if (compression != Compression::None) {
    const std::filesystem::path unpacked = tools.temp / "rootfs.tar";
    const sys::Fd output = sys::open_file(unpacked, O_WRONLY | O_CREAT | O_EXCL);
    UnpackLimit limit{tools.temp, 0};
    decompress(compression, opened->get(), output.get(), file.string(), limit, tools);
    opened = std::make_shared<sys::Fd>(sys::open_file(unpacked, O_RDONLY));
  }
  Tree tree;
  add_entries(tree, read_tar(opened, file.string()));
  return tree;
}

LoadedRoot load_root(const RootfsSource& source, const RootContext& context) {
  LoadedRoot root = std::visit(
      Overloaded{
          [&](const Busybox& busybox) {
            auto tree = make_busybox_root(busybox.binary, context.tools);
            auto recipe = busybox_recipe(tree);
            return LoadedRoot{std::move(tree), "busybox", {}, std::move(recipe)};
          },
          [&](const Debian& debian) {
            return LoadedRoot{make_debian_root(debian, context), "debian:" + debian.suite, {}, {}};
          },
          [&](const DebianAgent& agent) { return make_agent_root(agent, context); },
          [&](const Directory& directory) {
            return LoadedRoot{read_directory(directory.path, context), "dir:" + directory.path.string(), {}, {}};
          },
          [&](const Tar& tar) {
            return LoadedRoot{read_tar_root(tar.path, context.tools), "tar:" + tar.path.string(), {}, {}};
          },
          [&](const Oci& oci) { return read_oci(oci, context); },
      },
      source);
  complete(root.tree);
  if (!root.tree.find("bin/sh")) {
    context.logger.warning("the root file system has no /bin/sh; only argv commands will run in it");
  }
  return root;
}

}  // namespace fireclaw::image

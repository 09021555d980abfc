#include "image/kernel/modules.hpp"

#include <doctest/doctest.h>

#include "image/kernel/initramfs.hpp"
#include "image/testing/craft.hpp"

using namespace fireclaw;
using namespace fireclaw::image;
using image::testing::error_of;
using image::testing::make_module;
using image::testing::put;

namespace {

std::vector<std::string> names(const std::vector<LoadedModule>& modules) {
  std::vector<std::string> result;
  for (const LoadedModule& module : modules) result.push_back(module.name);
  return result;
}

/// A made-up /lib/modules/<release>.
struct Folder {
  sys::TempDir temp = image::testing::temp_dir();
  std::filesystem::path path = temp.path() / "6.1.0-test";
  Tools tools = image::testing::make_tools(temp.path());

  void add(const std::string& file, std::vector<std::string> info) {
    info.emplace_back("license=GPL");
    put(path / "kernel" / file, make_module(info));
  }
  [[nodiscard]] ModuleTree open() const { return ModuleTree{path, tools}; }
};

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("a module's dependencies are read from its .modinfo") {
  const ModuleInfo info = read_module_info(
      make_module({"license=GPL", "depends=virtio-ring,virtio", "softdep=pre: crc32c lzo post: late", "name=x"}),
      "x.ko");
  CHECK(info.depends == Names{"virtio_ring", "virtio"});
  CHECK(info.before == Names{"crc32c", "lzo"});
  CHECK(read_module_info(make_module({"depends="}), "x.ko") == ModuleInfo{});
  CHECK(error_of([] { read_module_info("no ELF", "x.ko"); }).first == ErrorCode::Corrupt);
  CHECK(error_of([] { read_module_info(image::testing::make_vmlinux("6.1", {}), "x.ko"); }).first ==
        ErrorCode::Corrupt);
}

TEST_CASE("modules come after what they depend on, each once") {
  Folder folder;
  folder.add("drivers/virtio/virtio_ring.ko", {"depends="});
  folder.add("drivers/virtio/virtio.ko", {"depends=virtio_ring"});
  folder.add("drivers/block/virtio_blk.ko", {"depends=virtio_ring,virtio"});
  folder.add("drivers/net/virtio_net.ko", {"depends=net_failover,virtio"});
  folder.add("drivers/net/net_failover.ko", {"depends="});
  const auto modules = folder.open().resolve({"virtio_net", "virtio-blk", "virtio_net", "missing"});
  CHECK(names(modules) == Names{"net_failover", "virtio_ring", "virtio", "virtio_net", "virtio_blk"});
  CHECK(modules.back().path == "kernel/drivers/block/virtio_blk.ko");
  CHECK(modules.back().bytes == make_module({"depends=virtio_ring,virtio", "license=GPL"}));
}

TEST_CASE("what is built in is not loaded and satisfies dependencies") {
  Folder folder;
  folder.add("fs/ext4.ko", {"depends=jbd2,mbcache", "softdep=pre: crc32c"});
  folder.add("crypto/crc32c_generic.ko", {});
  put(folder.path / "modules.builtin", "kernel/fs/jbd2/jbd2.ko\nkernel/fs/mbcache.ko\n");
  const ModuleTree tree = folder.open();
  CHECK(tree.is_builtin("jbd2"));
  CHECK(tree.provides("ext4"));
  CHECK_FALSE(tree.provides("xfs"));
  CHECK(names(tree.resolve({"ext4", "jbd2"})) == Names{"crc32c_generic", "ext4"});
}

TEST_CASE("compressed modules are unpacked") {
  Folder folder;
  const std::string plain = make_module({"depends="});
  put(folder.path / "kernel/a-b.ko.xz", image::testing::filter({"xz", "-c"}, plain, folder.tools));
  put(folder.path / "kernel/c.ko.zst", image::testing::filter({"zstd", "-c"}, plain, folder.tools));
  put(folder.path / "kernel/d.ko.gz", image::testing::filter({"gzip", "-c"}, plain, folder.tools));
  const auto modules = folder.open().resolve({"a_b", "c", "d"});
  REQUIRE(names(modules) == Names{"a_b", "c", "d"});
  for (const LoadedModule& module : modules) CHECK(module.bytes == plain);
  CHECK(modules[0].path == "kernel/a-b.ko");
}

TEST_CASE("a dependency that is not there, or leads back, is named") {
  Folder folder;
  folder.add("a.ko", {"depends=gone"});
  folder.add("b.ko", {"depends=c"});
  folder.add("c.ko", {"depends=b"});
  const ModuleTree tree = folder.open();
  CHECK(error_of([&] { (void)tree.resolve({"a"}); }).second.find("'a' needs 'gone'") != std::string::npos);
  CHECK(error_of([&] { (void)tree.resolve({"b"}); }).second.find("depends on itself") != std::string::npos);
}

TEST_CASE("a folder without modules is refused") {
  Folder folder;
  CHECK(error_of([&] { (void)folder.open(); }).first == ErrorCode::NotFound);
  put(folder.path / "README", "nothing");
  CHECK(error_of([&] { (void)folder.open(); }).first == ErrorCode::InvalidArgument);
}

TEST_CASE("a kernel that cannot do without a module it does not have is refused by name") {
  Folder folder;
  folder.add("virtio_blk.ko", {});
  folder.add("overlay.ko", {});
  const auto [code, text] = error_of([&] { select_modules(folder.open(), "6.1.0-test", Signatures::Keep); });
  CHECK(code == ErrorCode::InvalidArgument);
  CHECK(text.find("kernel 6.1.0-test has no 'squashfs'") == 0);
}

TEST_CASE("signatures are taken off only where the kernel's configuration shows that it does not insist on them") {
  CHECK(signatures_for("CONFIG_MODULE_SIG=y\n# CONFIG_MODULE_SIG_FORCE is not set\n") == Signatures::Strip);
  CHECK(signatures_for("CONFIG_MODULE_SIG=y\nCONFIG_MODULE_SIG_FORCE=y\n") == Signatures::Keep);
  CHECK(signatures_for("CONFIG_LOCK_DOWN_KERNEL_FORCE_INTEGRITY=y\n") == Signatures::Keep);
  CHECK(signatures_for("") == Signatures::Keep);

  Folder folder;
  const std::string plain = make_module({"license=GPL"});
  std::string trailer(12, '\0');
  trailer[3] = 4;   // signer
  trailer[4] = 5;   // key id
  trailer[11] = 7;  // signature
  const std::string signed_bytes = plain + std::string(16, 's') + trailer + "~Module signature appended~\n";
  for (const char* name : {"virtio_blk", "squashfs", "overlay"}) {
    put(folder.path / "kernel" / (std::string{name} + ".ko"), signed_bytes);
  }
  const ModuleTree tree = folder.open();
  CHECK(select_modules(tree, "6.1.0-test", Signatures::Keep).modules.at(0).bytes == signed_bytes);
  CHECK(select_modules(tree, "6.1.0-test", Signatures::Strip).modules.at(0).bytes == plain);
}

TEST_CASE("a signature that claims to be longer than its module is left alone") {
  for (const std::string& start : {std::string{}, std::string{"short"}, std::string(5000, 'm')}) {
    std::string bytes = start + std::string(12, '\xff') + "~Module signature appended~\n";
    const std::string before = bytes;
    strip_signature(bytes);
    CHECK(bytes == before);
  }
}

TEST_CASE("an initramfs lists its modules in load order and gives them back") {
  Folder folder;
  folder.add("virtio_ring.ko", {});
  folder.add("virtio_blk.ko", {"depends=virtio_ring"});
  folder.add("fs/squashfs.ko", {"depends="});
  put(folder.path / "modules.builtin", "kernel/fs/overlay.ko\n");
  const ModuleSet set = select_modules(folder.open(), "6.1.0-test", Signatures::Keep);
  const std::string initramfs = make_initramfs("the daemon", set);
  CHECK(initramfs == make_initramfs("the daemon", set));

  const std::string list =
      image::testing::filter({"cpio", "-i", "--quiet", "--to-stdout", "fireclaw/modules"}, initramfs, folder.tools);
  CHECK(list ==
        "/lib/modules/6.1.0-test/kernel/virtio_ring.ko\n"
        "/lib/modules/6.1.0-test/kernel/virtio_blk.ko\n"
        "/lib/modules/6.1.0-test/kernel/fs/squashfs.ko\n");
  CHECK(image::testing::filter({"cpio", "-i", "--quiet", "--to-stdout", "init"}, initramfs, folder.tools) ==
        "the daemon");

  const ModuleSet again = read_initramfs_modules(initramfs, "initramfs");
  CHECK(again.release == "6.1.0-test");
  REQUIRE(names(again.modules) == names(set.modules));
  CHECK(make_initramfs("another daemon", again) == make_initramfs("another daemon", set));
}

TEST_CASE("an initramfs without modules has an empty list") {
  const std::string initramfs = make_initramfs("the daemon", ModuleSet{"6.1.0", {}});
  CHECK(read_initramfs_modules(initramfs, "initramfs").modules.empty());
}

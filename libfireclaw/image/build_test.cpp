#include <doctest/doctest.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <algorithm>
#include <utility>

#include "image/archives/cpio.hpp"
#include "image/archives/tar.hpp"
#include "image/kernel/initramfs.hpp"
#include "image/roots/rootfs.hpp"
#include "image/testing/craft.hpp"
#include "image/testing/workshop.hpp"
#include "sys/socket.hpp"
#include "sys/testing/file_calls.hpp"

using namespace fireclaw;
using namespace fireclaw::image;
using image::testing::error_of;
using image::testing::Helper;
using image::testing::make_bzimage;
using image::testing::make_module;
using image::testing::make_vmlinux;
using image::testing::put;
using image::testing::wait_for_lock;
using image::testing::Workshop;
using sys::testing::FileCalls;

namespace {

using Lines = std::vector<std::string>;

bool has(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) return true;
  MESSAGE("not found: " << part);
  return false;
}

/// One that takes connections and says nothing, with its address.
std::pair<sys::Fd, std::string> silent_server() {
  sys::Fd socket{sys::check(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket")};
  sockaddr_in place{};
  place.sin_family = AF_INET;
  place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof place;
  auto* const address = reinterpret_cast<sockaddr*>(&place);
  sys::check(::bind(socket.get(), address, size), "bind");
  sys::check(::listen(socket.get(), 8), "listen");
  sys::check(::getsockname(socket.get(), address, &size), "getsockname");
  return {std::move(socket), fmt::format("http://127.0.0.1:{}/", ntohs(place.sin_port))};
}

/// What setpriv needs to run something as an ordinary user; empty if the tests are not run by root.
Lines as_nobody() {
  if (::geteuid() != 0) return {};
  return {"setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"};
}

}  // namespace

TEST_CASE("wget of the built-in image knows its timeout") {
  const Workshop shop;
  const auto tree = make_busybox_root({}, shop.tools);
  const auto wget = tree.find("usr/bin/wget");
  REQUIRE(wget != nullptr);
  if (wget->type == NodeType::Symlink) {
    MESSAGE("left out: the host's busybox has a wget with a timeout");
    return;
  }
  const sys::TempDir folder{"/tmp", "fireclaw-test-"};
  const auto script = folder.path() / "wget";
  sys::write_file_atomic(script, read_content(*wget, "wget"), 0755);
  const auto silent = silent_server();
  const auto run = [&](Lines arguments) {
    arguments.insert(arguments.begin(), script.string());
    return sys::run_tool(arguments, shop.tools.options());
  };
  for (const auto& timeout : {Lines{"-T", "1"}, Lines{"-qT1"}, Lines{"--timeout=1"}, Lines{"-q", "--timeout", "1"}}) {
    auto arguments = timeout;
    arguments.insert(arguments.end(), {"-O", "-", silent.second});
    const auto result = run(arguments);
    CHECK(result.status.code == 1);
    CHECK(has(result.err, "download timed out"));
  }
  CHECK(run({"-T", "9", "-O", (folder.path() / "page").string(), "http://127.0.0.1:1/"}).status.code == 1);
  CHECK(has(run({"-O", "-", "http://127.0.0.1:1/"}).err, "refused"));
}

TEST_CASE("the built-in image has a busybox, a shell, accounts and places to work") {
  Workshop shop;
  std::vector<std::string> steps;
  shop.options.progress = [&](std::string_view step, std::uint64_t, std::uint64_t) {
    if (steps.empty() || steps.back() != step) steps.emplace_back(step);
  };
  const Entry entry = shop.build("base", Busybox{});
  CHECK(entry == shop.store.open("base"));
  shop.store.verify(entry);
  CHECK(entry.manifest.kernel.bus == VirtioBus::Mmio);
  CHECK(entry.manifest.kernel.release == "6.1.0-test");
  CHECK(entry.manifest.source == "busybox");
  CHECK(entry.manifest.guestd_version == "1.2.3");
  CHECK(entry.manifest.created == *shop.options.created);
  CHECK(steps == Lines{"kernel", "initramfs", "root file system", "pack root file system", "publish"});

  const std::string files = shop.listing(entry);
  CHECK(has(files, "lrwxrwxrwx 0/0 12 1970-01-01 00:00 squashfs-root/bin/sh -> /bin/busybox\n"));
  CHECK(has(files, "squashfs-root/usr/bin/env -> /bin/busybox\n"));
  CHECK(has(files, "drwxrwxrwt 0/0 3 1970-01-01 00:00 squashfs-root/tmp\n"));
  CHECK(has(files, "drwx------ 0/0 3 1970-01-01 00:00 squashfs-root/root\n"));
  for (const char* folder : {"dev", "proc", "run", "sys", "workspace"}) {
    CHECK(has(files, fmt::format("drwxr-xr-x 0/0 3 1970-01-01 00:00 squashfs-root/{}\n", folder)));
  }
  CHECK(shop.content(entry, "etc/passwd").starts_with("root:x:0:0:root:/root:/bin/sh\n"));

  const std::string initramfs = sys::read_file(entry.initramfs());
  bool found = false;
  for (const CpioEntry& file : read_cpio(initramfs, "initramfs")) {
    if (file.path != "init") continue;
    found = true;
    CHECK(file.content == "the daemon");
    CHECK((file.mode & 0777) == 0755);
  }
  CHECK(found);
  CHECK(shop.leftovers() == Lines{"base"});
  struct stat status {};
  REQUIRE(::stat(entry.rootfs().c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0644);
}

TEST_CASE("the same sources give the same image, whatever it is called") {
  Workshop shop;
  const Entry a = shop.build("a", Busybox{});
  const Entry b = shop.build("b", Busybox{});
  CHECK(a.manifest.rootfs == b.manifest.rootfs);
  CHECK(a.manifest.digest == b.manifest.digest);
  const std::filesystem::path tar = shop.small_tar();
  CHECK(shop.build("c", Tar{tar}).manifest.digest == shop.build("d", Tar{tar}).manifest.digest);
}

TEST_CASE("images share a kernel's file instead of copying it") {
  Workshop shop;
  const Entry a = shop.build("a", Tar{shop.small_tar()});
  const Entry b = shop.build("b", Busybox{});
  CHECK(std::filesystem::equivalent(a.kernel(), b.kernel()));
  CHECK(std::filesystem::hard_link_count(a.kernel()) == 2);
  // The user's own file is not among them: changing it must not change images.
  CHECK_FALSE(std::filesystem::equivalent(a.kernel(), shop.kernel));
  // A kernel that no longer fits its manifest is not shared either.
  const auto whole = sys::read_file(a.kernel());
  auto damaged = whole;
  damaged.back() ^= 1;
  put(a.kernel(), damaged);
  const Entry c = shop.build("c", Busybox{});
  CHECK(sys::read_file(c.kernel()) == whole);
}

TEST_CASE("owners, modes, links, devices and attributes of a tar are kept, also when an ordinary user builds") {
  Workshop shop;
  Tree tree;
  Node file;
  file.type = NodeType::File;
  file.mode = 04711;
  file.uid = 1234;
  file.gid = 70000;
  file.mtime = 1600000000;
  file.bytes = 5;
  file.content = "hello";
  file.xattrs["user.origin"] = "here";
  tree.add("opt/tool", file);
  tree.link("opt/alias", "opt/tool");
  tree.symlink("link", "opt/tool");
  Node device;
  device.type = NodeType::CharDevice;
  device.mode = 0666;
  device.device_major = 1;
  device.device_minor = 5;
  tree.add("dev/zero", device);
  std::string bytes;
  write_tar(tree, [&](std::string_view piece) { bytes += piece; });

  const std::filesystem::path open_folder = shop.folder.path() / "open";
  put(open_folder / "root.tar.xz", image::testing::filter({"xz", "-c"}, bytes, shop.tools));
  std::filesystem::copy_file(shop.kernel, open_folder / "vmlinux");
  std::filesystem::copy_file(shop.guestd, open_folder / "guestd");
  std::filesystem::permissions(shop.folder.path(), std::filesystem::perms{0711});
  std::filesystem::permissions(open_folder, std::filesystem::perms{01777});
  Helper helper = Helper::start({"build", open_folder / "images", "mine", open_folder / "vmlinux",
                                 "tar=" + (open_folder / "root.tar.xz").string(), open_folder / "guestd"},
                                as_nobody());
  const Lines results = helper.results();
  REQUIRE(results.size() == 2);
  CHECK(results[0] == "log warning the root file system has no /bin/sh; only argv commands will run in it");
  CHECK(results[1].starts_with("built "));

  const Store store{open_folder / "images", Logger{}};
  const Entry entry = store.open("mine");
  const std::string files = shop.listing(entry);
  CHECK(has(files, "-rws--x--x 1234/70000 5 2020-09-13 12:26 squashfs-root/opt/tool\n"));
  CHECK(has(files, "-rws--x--x 1234/70000 5 2020-09-13 12:26 squashfs-root/opt/alias\n"));
  CHECK(has(files, "crw-rw-rw- 0/0 1, 5 1970-01-01 00:00 squashfs-root/dev/zero\n"));
  CHECK(has(files, "squashfs-root/link -> opt/tool\n"));
  CHECK(shop.content(entry, "opt/tool") == "hello");
  // Unpacked in full by another program, the attribute is there.
  const std::filesystem::path out = shop.folder.path() / "out";
  sys::run_tool({"unsquashfs", "-q", "-n", "-d", out.string(), entry.rootfs().string(), "opt"}, shop.tools.options());
  std::array<char, 16> value{};
  if (::getxattr((out / "opt/tool").c_str(), "user.origin", value.data(), value.size()) > 0) {
    CHECK(std::string{value.data()} == "here");
  }
  CHECK(std::filesystem::equivalent(out / "opt/tool", out / "opt/alias"));
}

TEST_CASE("a folder becomes a root: root keeps owners, others are told that everything becomes root's") {
  Workshop shop;
  const std::filesystem::path in = shop.folder.path() / "in";
  put(in / "bin/sh", "#!");
  put(in / "home/file", "content");
  std::filesystem::create_hard_link(in / "home/file", in / "home/same");
  std::filesystem::create_symlink("file", in / "home/link");
  REQUIRE(::mkfifo((in / "fifo").c_str(), 0640) == 0);
  const sys::Fd socket = sys::unix_listen(in / "socket");
  const bool is_root = ::geteuid() == 0;
  if (is_root) REQUIRE(::chown((in / "home/file").c_str(), 77, 88) == 0);
  const Entry entry = shop.build("folder", Directory{in});
  const std::string files = shop.listing(entry);
  CHECK(has(files, fmt::format("{} 7 ", is_root ? "77/88" : "0/0")));
  CHECK(has(files, "prw-r----- 0/0 0 "));
  CHECK(has(files, "squashfs-root/home/link -> file\n"));
  CHECK(shop.content(entry, "home/same") == "content");
  // One file with two names, as it was.
  const Tree tree = read_directory(in, {shop.tools, Logger{}, {}, {}, {}});
  REQUIRE(tree.find("home/file") != nullptr);
  CHECK(tree.find("home/file") == tree.find("home/same"));
  CHECK(entry.manifest.source == "dir:" + in.string());
  CHECK(files.find("squashfs-root/socket") == std::string::npos);
  CHECK(shop.messages == Lines{fmt::format("'{}' is a socket; left out of the image", (in / "socket").string())});

  if (is_root) {
    std::filesystem::permissions(shop.folder.path(), std::filesystem::perms{0711});
    const std::filesystem::path theirs = shop.folder.path() / "theirs";
    std::filesystem::create_directory(theirs);
    REQUIRE(::chown(theirs.c_str(), 65534, 65534) == 0);
    Helper helper =
        Helper::start({"build", theirs / "images", "f", shop.kernel, "dir=" + in.string(), shop.guestd}, as_nobody());
    const Lines results = helper.results();
    REQUIRE(results.size() == 3);
    CHECK(has(results[1], "they belong to root, because only root can keep owners"));
    CHECK(has(shop.listing(Store{theirs / "images", Logger{}}.open("f")), "-rw-r--r-- 0/0 7 "));
  }
  CHECK(error_of([&] { shop.build("x", Directory{in / "bin/sh"}); }).first == ErrorCode::InvalidArgument);
  CHECK(error_of([&] { shop.build("x", Directory{in / "nothing"}); }).first == ErrorCode::NotFound);
}

TEST_CASE("a name that is taken is refused unless it is to be replaced; what was opened before stays readable") {
  Workshop shop;
  const Entry old = shop.build("one", Tar{shop.small_tar("old")});
  const auto [code, text] = error_of([&] { shop.build("one", Busybox{}); });
  CHECK(code == ErrorCode::AlreadyExists);
  CHECK(has(text, "there is an image named 'one' already"));
  const sys::Fd held = sys::open_file(old.rootfs(), O_RDONLY);
  const std::string old_bytes = sys::read_file(old.rootfs());

  const Entry fresh = shop.build("one", Tar{shop.small_tar("new")}, true);
  CHECK(shop.content(fresh, "etc/content") == "new");
  CHECK(fresh.manifest.digest != old.manifest.digest);
  CHECK(sys::read_file(fmt::format("/proc/self/fd/{}", held.get())) == old_bytes);
  CHECK(shop.leftovers() == Lines{"one"});
}

TEST_CASE("a build that is still needed is kept when another one takes its name, and found by its digest") {
  Workshop shop;
  const Entry old = shop.build("one", Tar{shop.small_tar("old")});
  const auto needed = [&](const std::string& digest) { return digest == old.manifest.digest; };
  shop.options.keep = [&](const Manifest& replaced) { return needed(replaced.digest); };
  shop.build("one", Tar{shop.small_tar("new")}, true);
  const Entry newest = shop.build("one", Tar{shop.small_tar("newest")}, true);
  auto left = shop.leftovers();
  std::ranges::sort(left);
  CHECK(left == Lines{".kept", "one"});

  const auto found = shop.store.find_build("one", old.manifest.digest);
  REQUIRE(found);
  shop.store.verify(*found);
  CHECK(shop.content(*found, "etc/content") == "old");
  CHECK(shop.store.find_build("one", newest.manifest.digest) == newest);
  CHECK_FALSE(shop.store.find_build("one", std::string(64, '0')));
  CHECK(shop.store.list().size() == 1);

  shop.store.collect_garbage();
  CHECK(shop.store.remove_kept(needed).empty());
  CHECK(shop.store.remove_kept([](const std::string&) { return false; }).size() == 1);
  CHECK_FALSE(shop.store.find_build("one", old.manifest.digest));
}

TEST_CASE("the same build made again is not kept beside itself") {
  Workshop shop;
  shop.options.keep = [](const Manifest&) { return true; };
  const std::filesystem::path tar = shop.small_tar();
  shop.build("one", Tar{tar});
  const Entry again = shop.build("one", Tar{tar}, true);
  CHECK(shop.leftovers() == Lines{"one"});
  CHECK(shop.store.find_build("one", again.manifest.digest) == again);
}

TEST_CASE("an image is on disk, whole, before it has its name, and is replaced without a gap") {
  Workshop shop;
  const auto named = [&] { return std::filesystem::exists(shop.root / "one"); };
  const Lines ready{"sync .build-one@*/kernel",
                    "sync .build-one@*/initramfs",
                    "sync .build-one@*/rootfs",
                    "sync .build-one@*/.fireclaw-*.tmp",
                    "rename .build-one@*/.fireclaw-*.tmp -> .build-one@*/manifest.json",
                    "sync .build-one@*"};
  {
    const FileCalls calls{shop.root, [&] {
                            if (named()) CHECK_NOTHROW(shop.store.verify(shop.store.open("one")));
                          }};
    shop.build("one", Tar{shop.small_tar("old")});
    Lines expected = ready;
    expected.insert(expected.end(), {"rename .build-one@* -> one", "sync ."});
    CHECK(calls.lines_with({"sync", "rename"}) == expected);
  }
  const FileCalls calls{shop.root, [&] { CHECK_NOTHROW(shop.store.verify(shop.store.open("one"))); }};
  shop.build("one", Tar{shop.small_tar("new")}, true);
  Lines expected = ready;
  expected.insert(expected.end(), {"exchange .build-one@* <-> one", "sync ."});
  CHECK(calls.lines_with({"sync", "rename", "exchange"}) == expected);
}

TEST_CASE("an image goes by one rename, which is on disk before the rest of it goes") {
  Workshop shop;
  shop.build("one", Tar{shop.small_tar()});
  const FileCalls calls{shop.root};
  shop.store.remove("one");
  CHECK(calls.lines_with({"rename", "sync"}) == Lines{"rename one -> .trash-one@*/one", "sync ."});
}

TEST_CASE("a build that fails leaves nothing behind, and what it was to replace as it was") {
  Workshop shop;
  const Entry old = shop.build("one", Tar{shop.small_tar()});
  put(shop.folder.path() / "bad.tar", std::string(3000, 'b'));
  put(shop.folder.path() / "torn.tar.gz", "\x1f\x8b\x08 and nothing useful");
  for (const char* file : {"bad.tar", "torn.tar.gz", "missing.tar"}) {
    CAPTURE(file);
    CHECK(has(error_of([&] { shop.build("one", Tar{shop.folder.path() / file}, true); }).second, file));
    CHECK(has(error_of([&] { shop.build("two", Tar{shop.folder.path() / file}); }).second, file));
  }
  CHECK(shop.leftovers() == Lines{"one"});
  CHECK(shop.store.open("one") == old);
  shop.store.verify(old);
}

TEST_CASE("kernels that cannot be used are refused with the reason, and nothing is left") {
  Workshop shop;
  const auto refusal = [&](const KernelSource& kernel) {
    return error_of([&] { shop.store.build(BuildSpec{"k", kernel, Busybox{}, false}, shop.options); });
  };
  const std::filesystem::path file = shop.folder.path() / "kernel";
  CHECK(refusal(KernelFile{file, {}}) ==
        std::pair{ErrorCode::NotFound, fmt::format("no kernel at '{}'", file.string())});
  put(file, "text");
  CHECK(has(refusal(KernelFile{file, {}}).second, "is not a kernel"));
  put(file, make_vmlinux("6.1.0", {}).substr(0, 300));
  CHECK(has(refusal(KernelFile{file, {}}).second, "truncated"));
  put(file, make_vmlinux("6.1.0", {}));
  CHECK(has(refusal(KernelFile{file, {}}).second, "name the folder of its modules, /lib/modules/6.1.0"));
  CHECK(has(refusal(KernelUrl{"http://127.0.0.1:1/vmlinux", "abc"}).second, "needs its SHA-256"));
  CHECK(refusal(KernelUrl{"http://127.0.0.1:1/vmlinux", std::string(64, 'a')}).first == ErrorCode::Io);
  CHECK(refusal(KernelOf{"none"}).first == ErrorCode::NotFound);
  CHECK(refusal(DebianKernel{"../../etc"}).first == ErrorCode::InvalidArgument);
  shop.options.guestd = shop.folder.path() / "no-guestd";
  CHECK(has(refusal(KernelFile{shop.kernel, {}}).second, "no guestd at"));
  CHECK(shop.leftovers().empty());
}

TEST_CASE("a kernel with modules brings them into the initramfs, and another image can take both over") {
  Workshop shop;
  const std::filesystem::path modules = shop.folder.path() / "6.1.0-dist";
  put(modules / "kernel/virtio_pci.ko", make_module({"depends=virtio"}));
  put(modules / "kernel/virtio.ko", make_module({"depends="}));
  put(modules / "modules.builtin", "kernel/virtio_blk.ko\nkernel/squashfs.ko\nkernel/overlay.ko\n");
  put(shop.kernel, make_bzimage("6.1.0-dist", "packed"));
  shop.store.build(BuildSpec{"dist", KernelFile{shop.kernel, modules}, Tar{shop.small_tar()}, false}, shop.options);
  put(shop.guestd, "a newer daemon");
  const Entry again =
      shop.store.build(BuildSpec{"again", KernelOf{"dist"}, Tar{shop.small_tar()}, false}, shop.options);
  CHECK(again.manifest.kernel.bus == VirtioBus::Pci);
  CHECK(again.manifest.kernel == shop.store.open("dist").manifest.kernel);
  CHECK(std::filesystem::equivalent(again.kernel(), shop.store.open("dist").kernel()));
  const std::string initramfs = sys::read_file(again.initramfs());
  const ModuleSet set = read_initramfs_modules(initramfs, "initramfs");
  REQUIRE(set.modules.size() == 2);
  CHECK(set.modules[0].name == "virtio");
  CHECK(set.modules[1].name == "virtio_pci");
  CHECK(initramfs == make_initramfs("a newer daemon", set));
  CHECK(shop.messages == Lines(2, "the root file system has no /bin/sh; only argv commands will run in it"));
}

TEST_CASE("a packed kernel without modules is looked into to learn its bus, and unpacked when asked for") {
  Workshop shop;
  const auto pack = [&](const std::vector<std::string>& names) {
    const std::string vmlinux = make_vmlinux("6.1.0-packed", names);
    put(shop.kernel, make_bzimage("6.1.0-packed", image::testing::filter({"gzip", "-c"}, vmlinux, shop.tools)));
    return vmlinux;
  };
  const std::string vmlinux = pack({"virtio_mmio.device"});
  const Entry mmio = shop.build("mmio", Tar{shop.small_tar()});
  CHECK(mmio.manifest.kernel.bus == VirtioBus::Mmio);
  CHECK(mmio.manifest.kernel.format == KernelFormat::BzImage);
  const std::filesystem::path unpacked = [&] {
    // Whole before it has its name.
    const FileCalls calls{shop.root, [&] {
                            const auto file = mmio.directory / "vmlinux";
                            if (std::filesystem::exists(file)) CHECK(sys::read_file(file) == vmlinux);
                          }};
    const auto made = shop.store.ensure_vmlinux(mmio, shop.options);
    CHECK(calls.lines_with({"sync", "rename"}) ==
          Lines{"sync .build-mmio@*/vmlinux", "rename .build-mmio@*/vmlinux -> mmio/vmlinux"});
    return made;
  }();
  CHECK(sys::read_file(unpacked) == vmlinux);
  CHECK(unpacked == shop.store.ensure_vmlinux(mmio, shop.options));
  CHECK(shop.store.open("mmio") == mmio);
  pack({"virtio-pci"});
  CHECK(shop.build("pci", Tar{shop.small_tar()}).manifest.kernel.bus == VirtioBus::Pci);
  pack({});
  CHECK(error_of([&] { shop.build("none", Tar{shop.small_tar()}); }).first == ErrorCode::InvalidArgument);
  put(shop.kernel, make_vmlinux("6.1.0", {"virtio_mmio.device"}));
  const Entry elf = shop.build("elf", Tar{shop.small_tar()});
  CHECK(shop.store.ensure_vmlinux(elf, shop.options) == elf.kernel());
  CHECK(shop.leftovers().size() == 3);
}

TEST_CASE("a missing program is named with the package that has it") {
  Workshop shop;
  shop.options.search_path = {shop.folder.path()};
  const auto [code, text] = error_of([&] { shop.build("x", Tar{shop.small_tar()}); });
  CHECK(code == ErrorCode::NotFound);
  CHECK(text == "the program 'mksquashfs' is missing; install it with: apt-get install squashfs-tools");
  CHECK(has(error_of([&] { shop.build("x", Busybox{}); }).second, "apt-get install busybox-static"));
  CHECK(shop.leftovers().empty());
}

TEST_CASE("stopping a build at any of its steps leaves nothing") {
  Workshop shop;
  std::vector<std::string> steps;
  shop.options.progress = [&](std::string_view step, std::uint64_t, std::uint64_t) { steps.emplace_back(step); };
  const std::filesystem::path tar = shop.small_tar(std::string(3 << 20, 'x'));
  shop.build("whole", Tar{tar});
  for (std::size_t at = 0; at < steps.size(); ++at) {
    CAPTURE(at);
    std::stop_source source;
    std::size_t seen = 0;
    shop.options.stop = source.get_token();
    shop.options.progress = [&](std::string_view, std::uint64_t, std::uint64_t) {
      if (seen++ == at) source.request_stop();
    };
    // Stopped while it is being published, it may as well be there.
    if (steps[at] == "publish") break;
    CHECK(error_of([&] { shop.build("stopped", Tar{tar}); }).first == ErrorCode::Cancelled);
    CHECK(shop.leftovers() == Lines{"whole"});
  }
}

TEST_CASE("if two build one name, the second waits and then finds it taken") {
  Workshop shop;
  const Lines arguments{"build", shop.root, "one", shop.kernel, "tar=" + shop.small_tar().string(), shop.guestd};
  Lines held = arguments;
  held.emplace_back("hold");
  Helper first = Helper::start(held);
  REQUIRE(first.line() == "step kernel");
  Helper second = Helper::start(arguments);
  REQUIRE(second.line() == "log info image 'one' is being built by another process; waiting for it");

  // Meanwhile: no garbage, no image, no removal, and a limit to waiting.
  CHECK(shop.store.collect_garbage().empty());
  CHECK(shop.store.list().empty());
  CHECK(error_of([&] { shop.store.remove("one"); }).first == ErrorCode::InvalidState);
  shop.options.wait = Deadline::after(std::chrono::milliseconds{20});
  CHECK(error_of([&] { shop.build("one", Tar{shop.small_tar()}); }).first == ErrorCode::Timeout);

  first.release();
  const Lines built = first.results();
  REQUIRE(built.size() == 2);
  CHECK(built[1].starts_with("built "));
  const Lines refused = second.results();
  REQUIRE(refused.size() == 1);
  CHECK(refused[0].starts_with("already_exists there is an image named 'one' already"));
  CHECK(shop.leftovers() == Lines{"one"});
}

TEST_CASE("waiting for another builder ends when it is no longer wanted") {
  Workshop shop;
  Helper first =
      Helper::start({"build", shop.root, "one", shop.kernel, "tar=" + shop.small_tar().string(), shop.guestd, "hold"});
  REQUIRE(first.line() == "step kernel");
  std::stop_source source;
  shop.options.stop = source.get_token();
  source.request_stop();
  CHECK(error_of([&] { shop.build("one", Busybox{}); }).first == ErrorCode::Cancelled);
  first.kill();
}

TEST_CASE("a builder killed at any step leaves nothing that counts, and its remains are collected") {
  Workshop shop;
  const std::filesystem::path tar = shop.small_tar(std::string(2 << 20, 'x'));
  const Lines arguments{"build", shop.root, "one", shop.kernel, "tar=" + tar.string(), shop.guestd};
  std::size_t killed = 0;
  for (std::size_t lines = 1;; ++lines) {
    Helper helper = Helper::start(arguments);
    bool ended = false;
    for (std::size_t i = 0; i < lines && !ended; ++i) ended = !helper.line();
    helper.kill();
    wait_for_lock(shop.root, "one");
    const auto images = shop.store.list();
    REQUIRE(shop.messages.empty());
    REQUIRE(images.size() <= 1);
    if (!images.empty()) {
      shop.store.verify(images[0]);
      shop.store.remove("one");
    } else {
      ++killed;
    }
    shop.store.collect_garbage();
    REQUIRE(shop.leftovers().empty());
    if (ended) break;
  }
  CHECK(killed >= 3);
}

TEST_CASE("programs that a killed builder was running end with it") {
  Workshop shop;
  // An archive that never comes: its reader waits.
  const std::filesystem::path fifo = shop.folder.path() / "endless.tar.gz";
  REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  Helper helper = Helper::start({"build", shop.root, "one", shop.kernel, "tar=" + fifo.string(), shop.guestd});
  REQUIRE(helper.line() == "step kernel");
  REQUIRE(helper.line() == "step initramfs");
  REQUIRE(helper.line() == "step root file system");
  // Opening a FIFO for writing succeeds once somebody reads it.
  const sys::Fd writer = sys::open_file(fifo, O_WRONLY);
  helper.kill();
  // The pipe has an error once no reader is left, neither the builder nor a program of its.
  sys::require_fd(writer.get(), 0, Deadline::after(std::chrono::seconds{30}), "the unpacker's end");
  wait_for_lock(shop.root, "one");
  CHECK(shop.store.collect_garbage().size() == 1);
  CHECK(shop.leftovers().empty());
}

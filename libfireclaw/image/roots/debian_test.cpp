// Debian roots and kernels with stand-ins for the programs that would fetch them: what they are asked for, and what is
// made of their answers.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include "image/archives/tar.hpp"
#include "image/kernel/initramfs.hpp"
#include "image/testing/craft.hpp"
#include "image/testing/workshop.hpp"
#include "sys/digest.hpp"

using namespace fireclaw;
using namespace fireclaw::image;
using image::testing::error_of;
using image::testing::make_bzimage;
using image::testing::make_module;
using image::testing::put;
using image::testing::Workshop;

namespace {

using Lines = std::vector<std::string>;

/// A workshop whose search path starts with a folder of programs of the test's own.
struct Stage : Workshop {
  std::filesystem::path programs = folder.path() / "programs";

  Stage() { options.search_path.insert(options.search_path.begin(), programs); }

  void program(const std::string& name, const std::string& script) {
    put(programs / name, "#!/bin/sh\n" + script);
    std::filesystem::permissions(programs / name, std::filesystem::perms{0755});
  }
  /// An mmdebstrap that notes what it was asked for and gives a root with its own hostname.
  void stand_in_for_mmdebstrap() {
    Tree tree;
    tree.symlink("bin", "usr/bin");
    tree.file("usr/bin/sh", 0755, "shell");
    tree.file("etc/hostname", 0644, "the-builder");
    tree.file("etc/machine-id", 0444, "0123456789abcdef0123456789abcdef");
    std::string tar;
    write_tar(tree, [&](std::string_view piece) { tar += piece; });
    put(folder.path() / "debian.tar", tar);
    program("mmdebstrap", fmt::format("printf '%s\\n' \"$@\" > {0}/asked\n"
                                      "for word; do case $word in *.tar) cp {0}/debian.tar \"$word\";; esac; done\n"
                                      "echo 'I: installing essential packages...' >&2\n",
                                      folder.path().string()));
  }
  [[nodiscard]] std::string asked() const { return sys::read_file(folder.path() / "asked"); }
  [[nodiscard]] std::pair<ErrorCode, std::string> refusal(const Debian& debian) {
    return error_of([&] { build("debian", debian); });
  }

  /// apt with one kernel package behind a metapackage, and dpkg-deb that unpacks it.
  void stand_in_for_apt(const std::string& version) {
    put(folder.path() / "package.deb", "the package, version " + version);
    program("apt-cache", fmt::format(R"(case "$*" in
*linux-image-cloud-test) printf 'Package: linux-image-cloud-test\nVersion: {0}\nDepends: libc6, linux-image-6.1.0-{0}-test (= {0})\n' ;;
*linux-image-6.1.0-{0}-test) printf 'Package: linux-image-6.1.0-{0}-test\nVersion: {0}\nSHA256: {1}\nDepends: kmod, linux-base | x\n\nPackage: older\n' ;;
*) echo 'E: No packages found' >&2; exit 100 ;;
esac
)",
                                     version, sys::sha256_file(folder.path() / "package.deb")));
    program("apt-get", fmt::format("echo \"$@\" >> {0}/downloads\ncp {0}/package.deb ./a_name_of_its_own.deb\n",
                                   folder.path().string()));
    const std::filesystem::path unpacked = folder.path() / "unpacked";
    const std::filesystem::path modules = unpacked / "lib/modules" / ("6.1.0-" + version + "-test");
    std::filesystem::remove_all(unpacked);
    put(unpacked / "boot" / ("vmlinuz-6.1.0-" + version + "-test"),
        make_bzimage("6.1.0-" + version + "-test", "packed"));
    put(modules / "kernel/virtio_pci.ko", make_module({"license=GPL"}));
    put(modules / "modules.builtin", "kernel/virtio_blk.ko\nkernel/squashfs.ko\nkernel/overlay.ko\n");
    // dpkg-deb -x PACKAGE FOLDER
    program("dpkg-deb", fmt::format("cp -r {} \"$3\"\n", unpacked.string()));
  }
  Entry build_with_kernel(const std::string& name) {
    return store.build(BuildSpec{name, DebianKernel{"linux-image-cloud-test"}, Tar{small_tar()}, false}, options);
  }
  [[nodiscard]] std::size_t downloads() const {
    const std::string text = std::filesystem::exists(folder.path() / "downloads")
                                 ? sys::read_file(folder.path() / "downloads")
                                 : std::string{};
    return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
  }
};

}  // namespace

TEST_CASE("mmdebstrap is asked for the suite, the packages and the mirror, and its steps are passed on") {
  Stage stage;
  stage.stand_in_for_mmdebstrap();
  Lines steps;
  stage.options.progress = [&](std::string_view step, std::uint64_t, std::uint64_t) { steps.emplace_back(step); };
  const Entry entry = stage.build("debian", Debian{"trixie", {"python3", "podman"}, "http://mirror.example/debian"});
  const std::string asked = stage.asked();
  CHECK(asked.find("\n--variant=minbase\n--format=tar\n--include=python3,podman\ntrixie\n/") != std::string::npos);
  CHECK(asked.ends_with("/rootfs.tar\nhttp://mirror.example/debian\n"));
  CHECK(entry.manifest.source == "debian:trixie");
  CHECK(std::find(steps.begin(), steps.end(), "debian: installing essential packages...") != steps.end());
  // What must differ from machine to machine is not in the image.
  CHECK(stage.content(entry, "etc/machine-id").empty());
  CHECK(stage.content(entry, "etc/hostname") == "fireclaw\n");
}

TEST_CASE("words that mmdebstrap would take for options or lists never reach it") {
  Stage stage;
  stage.program("mmdebstrap", fmt::format("touch {}/asked\n", stage.folder.path().string()));
  for (const char* word : {"", "-v", "a,b", "a b", "a'b", "a\nb"}) {
    CAPTURE(word);
    CHECK(stage.refusal(Debian{word, {}, ""}).first == ErrorCode::InvalidArgument);
    CHECK(stage.refusal(Debian{"bookworm", {word}, ""}).first == ErrorCode::InvalidArgument);
  }
  CHECK(stage.refusal(Debian{"bookworm", {}, "--hook"}).first == ErrorCode::InvalidArgument);
  CHECK_FALSE(std::filesystem::exists(stage.folder.path() / "asked"));
}

TEST_CASE("what mmdebstrap complains of is passed on, without its chatter") {
  Stage stage;
  stage.program("mmdebstrap",
                "echo 'I: running apt-get update...' >&2\necho 'E: no such suite: bokworm' >&2\nexit 25\n");
  const auto [code, text] = stage.refusal(Debian{"bokworm", {}, ""});
  CHECK(code == ErrorCode::Io);
  CHECK(text ==
        "mmdebstrap could not make Debian 'bokworm': E: no such suite: bokworm; check the suite's and the packages' "
        "names "
        "and that the mirror can be reached");
  stage.program("mmdebstrap", "exit 3\n");
  CHECK(stage.refusal(Debian{"bookworm", {}, ""}).second.find("exited with status 3") != std::string::npos);
  CHECK(stage.leftovers().empty());
}

TEST_CASE("a kernel package is found behind its metapackage, downloaded once and then taken from the cache") {
  Stage stage;
  stage.stand_in_for_apt("9");
  const Entry first = stage.build_with_kernel("first");
  CHECK(first.manifest.kernel.release == "6.1.0-9-test");
  CHECK(first.manifest.kernel.source == "linux-image-6.1.0-9-test 9");
  CHECK(first.manifest.kernel.bus == VirtioBus::Pci);
  CHECK(sys::read_file(stage.folder.path() / "downloads").ends_with("download linux-image-6.1.0-9-test=9\n"));
  CHECK(stage.build_with_kernel("second").manifest.kernel == first.manifest.kernel);
  CHECK(stage.downloads() == 1);

  // A newer package is another file; the old one stays for images that have it.
  stage.stand_in_for_apt("10");
  CHECK(stage.build_with_kernel("third").manifest.kernel.release == "6.1.0-10-test");
  CHECK(stage.downloads() == 2);
}

TEST_CASE("without apt's lists the kernel in the cache serves, and without either the remedy is named") {
  Stage stage;
  const std::string no_lists = "echo 'E: No packages found' >&2\nexit 100\n";
  stage.program("apt-cache", no_lists);
  const auto [code, text] = error_of([&] { stage.build_with_kernel("x"); });
  CHECK(code == ErrorCode::NotFound);
  CHECK(text.starts_with("no package 'linux-image-cloud-test' known to apt; run: apt-get update"));

  stage.stand_in_for_apt("9");
  stage.build_with_kernel("first");
  stage.program("apt-cache", no_lists);
  stage.messages.clear();
  CHECK(stage.build_with_kernel("second").manifest.kernel.release == "6.1.0-9-test");
  REQUIRE(!stage.messages.empty());
  CHECK(stage.messages[0] ==
        "apt knows no package 'linux-image-cloud-test'; using linux-image-6.1.0-9-test 9 from the cache");
}

TEST_CASE("a package damaged on its way or in the cache is not used") {
  Stage stage;
  stage.stand_in_for_apt("9");
  put(stage.folder.path() / "package.deb", "something else");
  const auto [code, text] = error_of([&] { stage.build_with_kernel("x"); });
  CHECK(code == ErrorCode::Corrupt);
  CHECK(text.find("was damaged on its way") != std::string::npos);

  stage.stand_in_for_apt("9");
  stage.build_with_kernel("first");
  const std::size_t before = stage.downloads();
  put(stage.root / ".cache" / "linux-image-6.1.0-9-test_9.deb", "torn");
  stage.build_with_kernel("second");
  CHECK(stage.downloads() == before + 1);
  CHECK(stage.leftovers().size() == 2);
}

TEST_CASE("a download that fails names the package and the remedy") {
  Stage stage;
  stage.stand_in_for_apt("9");
  stage.program("apt-get", "echo 'E: Unable to locate the mirror' >&2\nexit 100\n");
  const auto [code, text] = error_of([&] { stage.build_with_kernel("x"); });
  CHECK(code == ErrorCode::Io);
  CHECK(text.find("cannot download package 'linux-image-6.1.0-9-test' (9); try: apt-get update") == 0);
  CHECK(text.ends_with("apt-get said: E: Unable to locate the mirror"));
  CHECK(stage.leftovers().empty());
}

TEST_CASE("downloads can be kept in a folder that several stores share") {
  Stage stage;
  stage.stand_in_for_apt("9");
  stage.options.cache = stage.folder.path() / "shared";
  stage.build_with_kernel("first");
  CHECK(std::filesystem::exists(stage.options.cache / "linux-image-6.1.0-9-test_9.deb"));
  CHECK_FALSE(std::filesystem::exists(stage.root / ".cache"));
}

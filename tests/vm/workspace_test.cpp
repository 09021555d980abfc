#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

#include "support.hpp"

using namespace fireclaw;
using test::error_of;
using test::shell;

namespace {

/// A workspace of this test's own in the prepared home folder, removed at the end.
struct Fixture {
  Host host = test::open_host();
  std::string name = "test-" + std::to_string(::getpid());
  test::TempFolder folder;
  Workspace workspace = create();

  Fixture() = default;
  Fixture(const Fixture&) = delete;
  Fixture& operator=(const Fixture&) = delete;
  ~Fixture() {
    try {
      host.workspaces().remove(name);
    } catch (const Error& error) {
      MESSAGE(error.what());
    }
  }

  [[nodiscard]] Workspace create() const {
    WorkspaceConfig config;
    config.name = name;
    return host.workspaces().create(config);
  }
  [[nodiscard]] VM machine() const {
    VMConfig config;
    config.workspace = name;
    return host.vms().run(config);
  }
  /// A file of the host's, in the test's folder.
  void put(const std::filesystem::path& path, std::string_view text) const {
    std::filesystem::create_directories((folder.path() / path).parent_path());
    std::ofstream{folder.path() / path, std::ios::binary} << text;
  }
  [[nodiscard]] std::string exported() const {
    const auto path = folder.path() / "exported.tar";
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    REQUIRE(fd >= 0);
    try {
      workspace.export_tar(fd);
    } catch (...) {
      ::close(fd);
      throw;
    }
    ::close(fd);
    std::ifstream in{path, std::ios::binary};
    return {std::istreambuf_iterator<char>{in}, {}};
  }
};

std::string content(const std::filesystem::path& file) {
  std::ifstream in{file, std::ios::binary};
  return {std::istreambuf_iterator<char>{in}, {}};
}

}  // namespace

TEST_CASE_FIXTURE(Fixture,
                  "a workspace's files are reached through the machine that has it, and are there afterwards") {
  workspace.write_file("before", "put there before the start");
  std::string live;
  {
    auto vm = machine();
    CHECK(shell(vm, "cat /workspace/before") == "put there before the start");
    CHECK(shell(vm, "cat /workspace/MEMORY.md") == "# Agent Memory");
    CHECK(workspace.info().vm == vm.info().id);

    const auto tree = folder.path() / "tree";
    std::filesystem::create_directories(tree / "sub folder");
    std::ofstream{tree / "sub folder/na\xc3\xafve"} << "pushed";
    std::filesystem::permissions(tree / "sub folder/na\xc3\xafve", std::filesystem::perms{0740});
    std::filesystem::create_symlink("/etc/passwd", tree / "link");
    CHECK(workspace.push(tree, "/").files == 2);
    workspace.push(tree / "sub folder/na\xc3\xafve", "memory");
    workspace.push(tree / "sub folder/na\xc3\xafve", "memory/renamed");
    CHECK(shell(vm, "cd /workspace/tree && cat sub*/na* && stat -c ' %u:%g %a' sub*/na* . && readlink link") ==
          "pushed 1000:1000 740\n 1000:1000 755\n/etc/passwd");
    CHECK(workspace.read_file("memory/renamed") == "pushed");

    workspace.write_file("memory/note", "from the host", 0600);
    CHECK(shell(vm, "cat /workspace/memory/note; stat -c ' %u:%g %a' /workspace/memory/note") ==
          "from the host 1000:1000 600");
    shell(vm, "echo from the guest > /workspace/answer; chown 1000:1000 /workspace/answer");
    CHECK(workspace.read_file("answer") == "from the guest\n");
    // Not the link, which leads out of it.
    CHECK(workspace.pull("tree", folder.path() / "back").files == 1);
    CHECK(content(folder.path() / "back/sub folder/na\xc3\xafve") == "pushed");
    workspace.remove_path("before");
    shell(vm, "test ! -e /workspace/before");
    CHECK(error_of([&] { workspace.remove_path("before"); }).code() == ErrorCode::NotFound);
    CHECK(error_of([&] { static_cast<void>(workspace.read_file("before")); }).code() == ErrorCode::NotFound);

    const auto tar = exported();
    workspace.remove_path("tree");
    const int fd = ::open((folder.path() / "exported.tar").c_str(), O_RDONLY | O_CLOEXEC);
    REQUIRE(fd >= 0);
    workspace.import_tar(fd);
    ::close(fd);
    CHECK(shell(vm, "stat -c '%u:%g %a' /workspace/tree/sub*/na*") == "1000:1000 740");
    live = exported();
    CHECK(live.size() == tar.size());
    CHECK(live.find("na\xc3\xafve") != std::string::npos);
    vm.stop();
  }
  CHECK_FALSE(workspace.info().in_use);
  CHECK(workspace.info().clean);
  CHECK(exported() == live);
  CHECK(workspace.read_file("answer") == "from the guest\n");
  CHECK_FALSE(workspace.check().repaired);
}

TEST_CASE_FIXTURE(Fixture, "without a machine files go in and out as cp -a would copy them") {
  put("tree/x/file", "one");
  put("tree/x/na\xc3\xafve \"name\"\nin two lines", "two");
  const std::string long_name(150, 'n');
  put("tree/" + long_name + "/" + long_name, "three");
  std::filesystem::create_symlink("/etc/passwd", folder.path() / "tree/link");
  std::filesystem::permissions(folder.path() / "tree/x/file", std::filesystem::perms{0751});
  const auto pushed = workspace.push(folder.path() / "tree", "/");
  CHECK(pushed.files == 4);
  CHECK(pushed.bytes == 11);
  // Into an existing folder under its own name, or under a new name.
  workspace.push(folder.path() / "tree/x/file", "memory");
  workspace.push(folder.path() / "tree/x/file", "memory/renamed");
  CHECK(workspace.read_file("memory/file") == "one");
  CHECK(workspace.read_file("memory/renamed") == "one");
  CHECK_FALSE(workspace.info().in_use);
  CHECK(workspace.info().clean);

  // The link leads out of what is pulled.
  const auto pulled = workspace.pull("tree", folder.path() / "back");
  CHECK(pulled.files == 3);
  CHECK(pulled.links_left_out == 1);
  CHECK(content(folder.path() / "back/x/file") == "one");
  CHECK(content(folder.path() / "back/x/na\xc3\xafve \"name\"\nin two lines") == "two");
  CHECK(content(folder.path() / "back" / long_name / long_name) == "three");
  CHECK_FALSE(std::filesystem::is_symlink(folder.path() / "back/link"));
  CHECK(std::filesystem::status(folder.path() / "back/x/file").permissions() == std::filesystem::perms{0751});

  workspace.remove_path("tree");
  CHECK(error_of([&] { workspace.pull("tree", folder.path() / "again"); }).code() == ErrorCode::NotFound);
  CHECK_FALSE(std::filesystem::exists(folder.path() / "again"));
  CHECK(error_of([&] { workspace.write_file("no/such/folder", ""); }).code() == ErrorCode::NotFound);
  CHECK(error_of([&] { workspace.push(folder.path() / "tree", "no/such/folder"); }).code() == ErrorCode::NotFound);
  CHECK(error_of([&] { static_cast<void>(workspace.read_file("MEMORY.md", 3)); }).code() == ErrorCode::InvalidArgument);
}

TEST_CASE_FIXTURE(Fixture, "without a machine a change that fails leaves everything as it was") {
  workspace.write_file("memory/note", "before");
  const auto before = exported();
  put("large", std::string(std::size_t{70} << 20, 'x'));
  const auto error = error_of([&] { workspace.push(folder.path() / "large", "memory/note"); });
  CHECK(std::string{error.what()}.find("is full") != std::string::npos);
  CHECK(exported() == before);
  CHECK(workspace.info().clean);
}

TEST_CASE_FIXTURE(Fixture, "links that a guest made lead nowhere on the host") {
  put("secret", "the host's own");
  std::filesystem::create_directory(folder.path() / "in");
  std::filesystem::create_symlink(folder.path() / "secret", folder.path() / "in/file");
  workspace.push(folder.path() / "in", "");
  CHECK(error_of([&] { static_cast<void>(workspace.read_file("in/file")); }).code() == ErrorCode::NotFound);
  CHECK(content(folder.path() / "secret") == "the host's own");
}

TEST_CASE_FIXTURE(Fixture, "while a machine has a workspace, nobody else gets it, and the error names the machine") {
  auto vm = machine();
  const auto expected = "workspace '" + name + "' is in use by VM " + vm.info().id;
  for (const auto& error : {error_of([&] { static_cast<void>(machine()); }), error_of([&] { workspace.resize(128); }),
                            error_of([&] { workspace.check(); }), error_of([&] { host.workspaces().remove(name); })}) {
    CHECK(error.code() == ErrorCode::InvalidState);
    CHECK(std::string{error.what()}.find(expected) != std::string::npos);
  }
  vm.kill();
  CHECK_NOTHROW(workspace.resize(128));
}

TEST_CASE_FIXTURE(Fixture, "what was synced is still there after the machine was killed in the middle of writing") {
  for (int round = 0; round < 2; ++round) {
    auto vm = machine();
    shell(vm,
          "cd /workspace && echo " + std::to_string(round) + " > memory/synced" + std::to_string(round) + " && sync");
    shell(vm,
          "rm -rf /workspace/d; (while :; do dd if=/dev/urandom of=/workspace/noise bs=64k count=4; "
          "mkdir -p /workspace/d; mv /workspace/noise /workspace/d/; done) >/dev/null 2>&1 & "
          "until [ -e /workspace/d/noise ]; do :; done");
    vm.kill();
    for (int earlier = 0; earlier <= round; ++earlier) {
      CHECK(workspace.read_file("memory/synced" + std::to_string(earlier)) == std::to_string(earlier) + "\n");
    }
  }
  CHECK(workspace.read_file("MEMORY.md") == "# Agent Memory\n");
}

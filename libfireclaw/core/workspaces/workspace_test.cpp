#include "fireclaw/workspace.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <iterator>
#include <string>

#include "core/host/impl.hpp"
#include "core/machines/workspace_disk.hpp"
#include "fireclaw/error.hpp"
#include "fireclaw/host.hpp"
#include "sys/process.hpp"
#include "sys/testing/file_calls.hpp"

using namespace fireclaw;

namespace {

namespace fs = std::filesystem;

struct Fixture {
  sys::TempDir folder{fs::temp_directory_path(), "workspace-test-"};
  std::vector<std::string> messages;
  Host host = Host::open(options());
  std::shared_ptr<Host::Impl> impl = Access::impl(host);

  [[nodiscard]] HostOptions options() {
    HostOptions made;
    made.home = folder.path() / "home";
    made.log = [this](LogLevel, std::string_view message) { messages.emplace_back(message); };
    return made;
  }
  Workspace create(const std::string& name) {
    WorkspaceConfig config;
    config.name = name;
    return Workspace::create(host, config);
  }
  /// A file with content in the test's folder.
  fs::path a_file(const std::string& name, std::string_view content) const {
    auto path = folder.path() / name;
    fs::create_directories(path.parent_path());
    std::ofstream{path, std::ios::binary} << content;
    return path;
  }
  [[nodiscard]] fs::path exported(const Workspace& workspace) const {
    auto path = folder.path() / (workspace.name() + ".tar");
    const auto out = sys::open_file(path, O_WRONLY | O_CREAT | O_TRUNC);
    workspace.export_tar(out.get());
    return path;
  }
  void debugfs(const std::string& name, const std::string& command) const {
    sys::check_tool({"debugfs", "-w", "-R", command, impl->workspaces.disk(name).native()}, tools());
  }
  [[nodiscard]] sys::ToolOptions tools() const {
    sys::ToolOptions made;
    made.search_path = impl->options.search_path;
    return made;
  }
};

std::pair<ErrorCode, std::string> error_of(const auto& call) {
  try {
    call();
  } catch (const Error& error) {
    return {error.code(), error.what()};
  }
  FAIL("no error");
  return {ErrorCode::Internal, ""};
}

std::string content(const fs::path& file) {
  std::ifstream in{file, std::ios::binary};
  return {std::istreambuf_iterator<char>{in}, {}};
}

}  // namespace

TEST_CASE_FIXTURE(Fixture, "a new workspace holds an empty memory that belongs to the agent") {
  auto workspace = create("one");
  CHECK(workspace.read_file("MEMORY.md") == "# Agent Memory\n");
  CHECK(workspace.read_file("/MEMORY.md") == "# Agent Memory\n");
  const auto info = workspace.info();
  CHECK(info.name == "one");
  CHECK(info.size_bytes == std::uint64_t{64} << 20);
  CHECK(info.disk_bytes < std::uint64_t{1} << 20);
  CHECK(info.clean);
  CHECK_FALSE(info.in_use);
  CHECK(info.problem.empty());
  const auto listing = sys::check_tool({"tar", "--numeric-owner", "-tvf", exported(workspace).native()}, tools()).out;
  CHECK(listing.find("-rw-r--r-- 1000/1000") != std::string::npos);
  CHECK(listing.find("drwxr-xr-x 1000/1000") != std::string::npos);
  CHECK(listing.find(" memory/") != std::string::npos);
  CHECK(listing.find("lost+found") == std::string::npos);
  CHECK(error_of([&] { create("one"); }).first == ErrorCode::AlreadyExists);
  CHECK(error_of([&] { create("../one"); }).second.find("the name of a workspace") != std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "names, sizes and paths that can never work are refused") {
  WorkspaceConfig config;
  config.name = "small";
  config.size_mib = 15;
  CHECK(error_of([&] { Workspace::create(host, config); }).first == ErrorCode::InvalidArgument);
  CHECK(error_of([&] { Workspace::open(host, "missing"); }).second.find("fireclaw workspace create missing") !=
        std::string::npos);
  CHECK(error_of([&] { Workspace::remove(host, "missing"); }).first == ErrorCode::NotFound);
  auto workspace = create("one");
  CHECK(error_of([&] { workspace.write_file("../x", ""); }).first == ErrorCode::InvalidArgument);
  CHECK(error_of([&] { workspace.write_file("no/such/folder", ""); }).first == ErrorCode::NotFound);
  CHECK(error_of([&] { static_cast<void>(workspace.read_file("memory")); }).first == ErrorCode::InvalidArgument);
  CHECK(error_of([&] { static_cast<void>(workspace.read_file("MEMORY.md", 3)); }).first == ErrorCode::InvalidArgument);
  CHECK(error_of([&] { workspace.remove_path("/"); }).first == ErrorCode::InvalidArgument);
  CHECK(error_of([&] { workspace.push(folder.path() / "nothing", ""); }).first == ErrorCode::NotFound);
  CHECK(Workspace::list(host).size() == 1);
}

TEST_CASE_FIXTURE(Fixture, "files go in and out as cp -a would copy them") {
  auto workspace = create("one");
  a_file("tree/x/file", "one");
  a_file("tree/x/na\xc3\xafve \"name\"", "two");
  fs::create_symlink("/etc/passwd", folder.path() / "tree/link");
  fs::permissions(folder.path() / "tree/x/file", fs::perms{0751});
  fs::last_write_time(folder.path() / "tree/x/file", fs::file_time_type::clock::now() - std::chrono::hours{1000});
  const auto pushed = workspace.push(folder.path() / "tree", "/");
  CHECK(pushed.files == 3);
  CHECK(pushed.bytes == 6);
  // Into an existing folder under its own name, or under a new name.
  workspace.push(folder.path() / "tree/x/file", "memory");
  workspace.push(folder.path() / "tree/x/file", "memory/renamed");
  CHECK(workspace.read_file("memory/file") == "one");
  CHECK(workspace.read_file("memory/renamed") == "one");

  // The link leads out of what is pulled.
  const auto pulled = workspace.pull("tree", folder.path() / "back");
  CHECK(pulled.files == 2);
  CHECK(pulled.links_left_out == 1);
  CHECK(content(folder.path() / "back/x/file") == "one");
  CHECK(content(folder.path() / "back/x/na\xc3\xafve \"name\"") == "two");
  CHECK_FALSE(fs::exists(fs::symlink_status(folder.path() / "back/link")));
  CHECK(fs::status(folder.path() / "back/x/file").permissions() == fs::perms{0751});
  const auto age =
      fs::last_write_time(folder.path() / "tree/x/file") - fs::last_write_time(folder.path() / "back/x/file");
  CHECK(std::chrono::abs(std::chrono::duration_cast<std::chrono::seconds>(age)) <= std::chrono::seconds{1});

  // A link by itself leads out of what is pulled, also where it leads to something.
  workspace.push(folder.path() / "tree/x/file", "real");
  fs::create_symlink("real", folder.path() / "to-real");
  workspace.push(folder.path() / "to-real", "");
  CHECK(workspace.pull("to-real", folder.path() / "pulled").links_left_out == 1);
  CHECK_FALSE(fs::exists(fs::symlink_status(folder.path() / "pulled")));

  workspace.remove_path("tree");
  CHECK(error_of([&] { workspace.pull("tree", folder.path() / "again"); }).first == ErrorCode::NotFound);
  CHECK_FALSE(fs::exists(folder.path() / "again"));
}

TEST_CASE_FIXTURE(Fixture, "links that a guest made lead nowhere on the host") {
  auto workspace = create("one");
  const auto secret = a_file("secret", "the host's own");
  fs::create_directory(folder.path() / "in");
  fs::create_symlink(secret, folder.path() / "in/file");
  fs::create_symlink(folder.path(), folder.path() / "in/folder");
  workspace.push(folder.path() / "in", "");
  CHECK(error_of([&] { static_cast<void>(workspace.read_file("in/file")); }).first == ErrorCode::NotFound);
  // What is pulled takes the place of a link, and is not written through it: here the target has one of that name.
  fs::create_directories(folder.path() / "out/tree");
  fs::create_symlink(folder.path(), folder.path() / "out/tree/memory");
  workspace.write_file("memory/secret", "the guest's");
  workspace.pull("/.", folder.path() / "out/tree");
  CHECK(content(secret) == "the host's own");
  CHECK_FALSE(fs::is_symlink(folder.path() / "out/tree/memory"));
  CHECK(content(folder.path() / "out/tree/memory/secret") == "the guest's");
}

TEST_CASE_FIXTURE(Fixture,
                  "a change is made beside the disk, which is on disk itself before it takes the other one's place") {
  auto workspace = create("one");
  const sys::testing::FileCalls calls{impl->layout.workspaces()};
  workspace.write_file("memory/note", "text");
  const auto lines = calls.lines_with({"sync", "rename", "one/disk.ext4"});
  CHECK(lines == std::vector<std::string>{"sync .draft-one-*/disk.ext4",
                                          "rename .draft-one-*/disk.ext4 -> one/disk.ext4", "sync one"});
}

TEST_CASE_FIXTURE(Fixture, "a change that fails leaves everything as it was") {
  auto workspace = create("one");
  workspace.write_file("memory/note", "before");
  const auto before = content(exported(workspace));
  a_file("tree/a", "a");
  a_file("tree/two\nlines", "b");
  CHECK(error_of([&] { workspace.push(folder.path() / "tree", ""); }).first == ErrorCode::InvalidArgument);
  const auto large = a_file("large", "");
  fs::resize_file(large, std::uint64_t{1} << 20);
  std::ofstream{large} << std::string(std::size_t{70} << 20, 'x');
  CHECK(error_of([&] { workspace.push(large, "memory/note"); }).second.find("is full") != std::string::npos);
  CHECK(content(exported(workspace)) == before);
  CHECK(host.collect_garbage().removed.empty());
}

TEST_CASE_FIXTURE(Fixture, "a tar that was exported makes the same workspace again") {
  auto workspace = create("one");
  const auto tar = folder.path() / "made.tar";
  a_file("tree/\xe6\x97\xa5\xe6\x9c\xac", "unicode");
  a_file("tree/sub/run", "#!/bin/sh\n");
  fs::permissions(folder.path() / "tree/sub/run", fs::perms{04755});
  fs::create_symlink(std::string(150, 'l'), folder.path() / "tree/long link");
  sys::check_tool({"tar", "-C", (folder.path() / "tree").native(), "--owner=:70001", "--group=:5",
                   "--mtime=@1234567890", "-czf", tar.native(), "."},
                  tools());
  workspace.import_tar(sys::open_file(tar, O_RDONLY).get());
  const auto first = content(exported(workspace));
  const auto listing =
      sys::check_tool({"tar", "--numeric-owner", "--utc", "-tvf", exported(workspace).native()}, tools()).out;
  // An exported tar gives nobody rights where it is unpacked.
  CHECK(listing.find("-rwxr-xr-x 70001/5") != std::string::npos);
  CHECK(listing.find("2009-02-13 23:31 sub/run") != std::string::npos);
  CHECK(listing.find("-> " + std::string(150, 'l')) != std::string::npos);
  CHECK(workspace.read_file("\xe6\x97\xa5\xe6\x9c\xac") == "unicode");
  CHECK(workspace.read_file("MEMORY.md") == "# Agent Memory\n");

  WorkspaceConfig config;
  config.name = "two";
  const auto other = Workspace::create_from_tar(host, config, sys::open_file(exported(workspace), O_RDONLY).get());
  CHECK(content(exported(other)) == first);
}

TEST_CASE_FIXTURE(Fixture, "folders that a tar does not mention keep their owner") {
  auto workspace = create("one");
  a_file("tree/memory/note", "note");
  const auto tar = folder.path() / "made.tar";
  sys::check_tool({"tar", "-C", (folder.path() / "tree").native(), "-cf", tar.native(), "memory/note"}, tools());
  workspace.import_tar(sys::open_file(tar, O_RDONLY).get());
  const auto listing = sys::check_tool({"tar", "--numeric-owner", "-tvf", exported(workspace).native()}, tools()).out;
  const auto at = listing.find(" memory/\n");
  REQUIRE(at != std::string::npos);
  CHECK(listing.rfind("drwxr-xr-x 1000/1000", at) > listing.rfind('\n', at));
}

TEST_CASE_FIXTURE(Fixture, "archives that would leave the disk, or are none, are refused and leave no workspace") {
  WorkspaceConfig config;
  config.name = "two";
  a_file("tree/file", "x");
  const auto tar = folder.path() / "evil.tar";
  sys::check_tool({"tar", "-C", (folder.path() / "tree").native(), "-P", "--transform=s|file|../../evil|", "-cf",
                   tar.native(), "file"},
                  tools());
  const auto from = [&](const fs::path& file) {
    return error_of([&] { Workspace::create_from_tar(host, config, sys::open_file(file, O_RDONLY).get()); }).first;
  };
  CHECK(from(tar) == ErrorCode::InvalidArgument);
  CHECK(from(a_file("text", std::string(2000, 't'))) == ErrorCode::InvalidArgument);
  const auto whole = content(tar);
  CHECK(from(a_file("torn.tar", whole.substr(0, 700))) == ErrorCode::Corrupt);
  CHECK(Workspace::list(host).empty());
  CHECK(host.collect_garbage().removed.empty());
}

TEST_CASE_FIXTURE(Fixture, "a claimed disk is taken for as long as a process keeps the lock's descriptor") {
  auto workspace = create("one");
  std::optional<core::WorkspaceDisk> claimed = core::claim_workspace(*impl, "one");
  CHECK(claimed->image == impl->workspaces.disk("one"));
  CHECK(claimed->bytes == std::uint64_t{64} << 20);
  sys::SpawnSpec spec;
  spec.argv = {"/bin/sleep", "60"};
  spec.fds = {{claimed->lock.get(), 3}};
  auto engine = sys::Child::spawn(spec);
  claimed.reset();

  CHECK(workspace.info().in_use);
  const auto self = std::to_string(::getpid());
  for (const auto& [code, text] :
       {error_of([&] { core::claim_workspace(*impl, "one"); }), error_of([&] { workspace.resize(128); }),
        error_of([&] { Workspace::remove(host, "one"); })}) {
    CHECK(code == ErrorCode::InvalidState);
    CHECK(text == "workspace 'one' is in use by process " + self + " (a machine that starts)");
  }
  engine.kill();
  CHECK_FALSE(workspace.info().in_use);
  CHECK_NOTHROW(core::claim_workspace(*impl, "one"));
  CHECK(error_of([&] { core::claim_workspace(*impl, "two"); }).first == ErrorCode::NotFound);
}

TEST_CASE_FIXTURE(Fixture, "of many processes that claim a disk at once, one gets it") {
  create("one");
  auto hold = sys::make_pipe();
  std::optional<sys::Fd> release{std::move(hold.write)};
  std::vector<pid_t> children;
  for (int i = 0; i < 8; ++i) {
    const auto pid = ::fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
      release.reset();
      int status = 2;
      try {
        const auto claimed = core::claim_workspace(*impl, "one");
        char byte = 0;
        status = ::read(hold.read.get(), &byte, 1) == 0 ? 0 : 2;
      } catch (const Error& error) {
        status = error.code() == ErrorCode::InvalidState ? 1 : 2;
      }
      ::_exit(status);
    }
    children.push_back(pid);
  }
  // The losers end by themselves; the winner waits for the end of the pipe.
  int winners = 0;
  int losers = 0;
  std::vector<pid_t> waiting = children;
  const auto count = [&](pid_t pid) {
    int status = 0;
    REQUIRE(::waitpid(pid, &status, 0) == pid);
    winners += WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 1 : 0;
    losers += WIFEXITED(status) && WEXITSTATUS(status) == 1 ? 1 : 0;
  };
  const auto deadline = Deadline::after(std::chrono::seconds{60});
  while (waiting.size() > 1 && !deadline.passed()) {
    for (auto it = waiting.begin(); it != waiting.end();) {
      siginfo_t info{};
      ::waitid(P_PID, static_cast<id_t>(*it), &info, WEXITED | WNOHANG | WNOWAIT);
      if (info.si_pid == 0) {
        ++it;
        continue;
      }
      count(*it);
      it = waiting.erase(it);
    }
    ::poll(nullptr, 0, 20);
  }
  CHECK(losers == 7);
  CHECK(winners == 0);
  release.reset();
  for (const auto pid : waiting) count(pid);
  CHECK(winners == 1);
}

TEST_CASE_FIXTURE(Fixture, "a disk that a crash left behind is mended before it is used, and the log says so") {
  create("one");
  debugfs("one", "set_super_value state 0");
  CHECK_FALSE(Workspace::open(host, "one").info().clean);
  core::claim_workspace(*impl, "one");
  CHECK(Workspace::open(host, "one").info().clean);
  CHECK(messages.empty());

  debugfs("one", "set_inode_field <2> links_count 9");
  debugfs("one", "set_super_value state 0");
  core::claim_workspace(*impl, "one");
  REQUIRE(messages.size() == 1);
  CHECK(messages[0].find("workspace 'one' was damaged and has been repaired") != std::string::npos);
  CHECK_FALSE(Workspace::open(host, "one").check().repaired);

  std::ofstream{impl->workspaces.disk("one")} << "no disk at all";
  CHECK(error_of([&] { core::claim_workspace(*impl, "one"); }).first == ErrorCode::Corrupt);
}

TEST_CASE_FIXTURE(Fixture, "broken workspaces are listed with what is wrong, and can be removed") {
  create("disk-gone");
  create("record-torn");
  create("whole");
  fs::remove(impl->workspaces.disk("disk-gone"));
  std::ofstream{impl->workspaces.directory("record-torn") / "workspace.json"} << "{\"schema\":";
  const auto all = Workspace::list(host);
  REQUIRE(all.size() == 3);
  CHECK(all[0].problem.find("disk.ext4") != std::string::npos);
  CHECK(all[1].problem.find("workspace.json") != std::string::npos);
  CHECK(all[2].problem.empty());
  CHECK(error_of([&] { Workspace::open(host, "record-torn"); }).first == ErrorCode::Corrupt);
  Workspace::remove(host, "disk-gone");
  Workspace::remove(host, "record-torn");
  CHECK(Workspace::list(host).size() == 1);
}

TEST_CASE_FIXTURE(Fixture, "what a killed maker left is collected, what a living one makes is not") {
  const auto leftover = impl->layout.workspaces() / ".draft-gone-0123456789abcdef";
  fs::create_directories(leftover);
  const auto lock = core::try_lock_workspace(*impl, "busy", "making it");
  const auto busy = impl->workspaces.draft("busy");
  CHECK(host.collect_garbage().removed == std::vector{leftover});
  CHECK(fs::exists(busy.path()));
}

TEST_CASE_FIXTURE(Fixture, "resizing keeps the content, both ways") {
  auto workspace = create("one");
  workspace.write_file("memory/note", "kept");
  workspace.resize(512);
  CHECK(workspace.info().size_bytes == std::uint64_t{512} << 20);
  CHECK(workspace.info().disk_bytes < std::uint64_t{2} << 20);
  workspace.resize(64);
  CHECK(workspace.info().size_bytes == std::uint64_t{64} << 20);
  CHECK(workspace.read_file("memory/note") == "kept");
  CHECK(error_of([&] { workspace.resize(1); }).first == ErrorCode::InvalidArgument);
}

#include "fireclaw/workspace.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>
#include <csignal>

#include <fstream>
#include <functional>
#include <future>
#include <string>
#include <utility>
#include <vector>

#include "core/host/impl.hpp"
#include "core/machines/workspace_disk.hpp"
#include "core/workspaces/files.hpp"
#include "core/workspaces/transfer.hpp"
#include "fireclaw/collections.hpp"
#include "fireclaw/error.hpp"
#include "image/archives/tar.hpp"
#include "sys/fd.hpp"
#include "sys/file.hpp"
#include "sys/process.hpp"
#include "sys/testing/file_calls.hpp"
#include "sys/testing/outcome.hpp"

using namespace fireclaw;
using sys::testing::error_of;

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
    return host.workspaces().create(config);
  }
  /// What debugfs prints.
  [[nodiscard]] std::string seen(const std::string& name, const std::string& command) const {
    return sys::check_tool({"debugfs", "-R", command, impl->workspaces.disk(name).native()}, tools()).out;
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

}  // namespace

TEST_CASE_FIXTURE(Fixture, "a new workspace holds an empty memory that belongs to the agent") {
  const auto workspace = create("one");
  const auto info = workspace.info();
  CHECK(info.name == "one");
  CHECK(info.size_bytes == std::uint64_t{64} << 20);
  CHECK(info.disk_bytes < std::uint64_t{1} << 20);
  CHECK(info.clean);
  CHECK_FALSE(info.in_use);
  CHECK(info.problem.empty());
  CHECK(seen("one", "cat MEMORY.md") == "# Agent Memory\n");
  for (const char* path : {"", "MEMORY.md", "memory"}) {
    const auto stat = seen("one", fmt::format("stat /{}", path));
    CHECK(stat.find("User:  1000   Group:  1000") != std::string::npos);
    CHECK(stat.find(path == std::string{"MEMORY.md"} ? "Mode:  0644" : "Mode:  0755") != std::string::npos);
  }
  CHECK(seen("one", "ls -p /").find("/memory/") != std::string::npos);
  CHECK(error_of([&] { create("one"); }) ==
        std::pair{ErrorCode::AlreadyExists, std::string{"there is a workspace named 'one'"}});
  CHECK(error_of([&] { create("../one"); }).second.find("the name of a workspace") != std::string::npos);
}

TEST_CASE_FIXTURE(Fixture,
                  "a workspace belongs to the user and the group that were asked for, and so does what is in it") {
  WorkspaceConfig config;
  config.name = "one";
  config.uid = 1234;
  config.gid = 4321;
  const auto info = host.workspaces().create(config).info();
  CHECK(info.uid == 1234);
  CHECK(info.gid == 4321);
  for (const char* path : {"", "MEMORY.md", "memory"}) {
    CAPTURE(path);
    const auto stat = seen("one", fmt::format("stat /{}", path));
    CHECK(stat.find("User:  1234   Group:  4321") != std::string::npos);
  }
}

TEST_CASE_FIXTURE(Fixture,
                  "a disk that cannot be filled here is filled in a machine, and one that cannot be made is told") {
  struct Row {
    std::string tool;
    std::string script;
    ErrorCode code;
    std::string words;
  };
  const auto mke2fs = sys::find_program("mke2fs", impl->options.search_path);
  REQUIRE(mke2fs);
  for (const auto& row :
       std::vector<Row>{{"mke2fs",
                         fmt::format("case \"$*\" in *' -d '*) echo 'out of inodes' >&2; exit 1;; esac\nexec {} \"$@\"",
                                     mke2fs->native()),
                         ErrorCode::Io, "out of inodes"},
                        {"unshare", "exit 1", ErrorCode::InvalidState, "has not been set up"}}) {
    CAPTURE(row.tool);
    const sys::TempDir tools{folder.path(), "tools-"};
    sys::write_file_atomic(tools.path() / row.tool, "#!/bin/sh\n" + row.script + "\n", 0755);
    auto other = options();
    other.search_path.insert(other.search_path.begin(), tools.path());
    WorkspaceConfig config;
    config.name = "one";
    const auto [code, text] = error_of([&] { Host::open(other).workspaces().create(config); });
    CAPTURE(text);
    CHECK(code == row.code);
    CHECK(text.find(row.words) != std::string::npos);
    CHECK(host.workspaces().list().empty());
    CHECK(impl->workspaces.remove_unfinished().empty());
  }
}

TEST_CASE_FIXTURE(Fixture, "names, sizes and paths that can never work are refused") {
  WorkspaceConfig config;
  config.name = "odd";
  constexpr auto most = std::uint64_t{1} << 24;
  // The last one has as many bytes as a good one, in 64 bits.
  for (const auto size : {std::uint64_t{0}, std::uint64_t{15}, most + 1, (std::uint64_t{1} << 44) + 64}) {
    CAPTURE(size);
    config.size_mib = size;
    CHECK(error_of([&] { host.workspaces().create(config); }) ==
          std::pair{ErrorCode::InvalidArgument, fmt::format("a workspace must be 16 to {} MiB, not {}", most, size)});
  }
  CHECK(error_of([&] { return host.workspaces().open("missing"); }).second.find("fireclaw workspace create missing") !=
        std::string::npos);
  CHECK(error_of([&] { host.workspaces().remove("missing"); }).first == ErrorCode::NotFound);
  for (const std::string name : {"../one", "", ".draft-one", "a/b"}) {
    CAPTURE(name);
    CHECK(error_of([&] { return host.workspaces().open(name); }).first == ErrorCode::InvalidArgument);
    CHECK(error_of([&] { host.workspaces().remove(name); }).first == ErrorCode::InvalidArgument);
    CHECK(error_of([&] { core::claim_workspace(*impl, name); }).first == ErrorCode::InvalidArgument);
  }
  auto workspace = create("one");
  CHECK(error_of([&] { workspace.write_file("../x", ""); }).first == ErrorCode::InvalidArgument);
  CHECK(error_of([&] { workspace.remove_path("/"); }).first == ErrorCode::InvalidArgument);
  CHECK(error_of([&] { workspace.push(folder.path() / "nothing", ""); }).first == ErrorCode::NotFound);
  CHECK(host.workspaces().list().size() == 1);
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
  // Side by side, since each waits for a while first.
  std::vector<std::future<std::pair<ErrorCode, std::string>>> attempts;
  const auto attempt = [&](std::function<void()> call) {
    attempts.push_back(std::async(std::launch::async, [call = std::move(call)] { return error_of(call); }));
  };
  attempt([&] { core::claim_workspace(*impl, "one"); });
  attempt([&] { workspace.resize(128); });
  attempt([&] { host.workspaces().remove("one"); });
  for (auto& each : attempts) {
    const auto [code, text] = each.get();
    CHECK(code == ErrorCode::InvalidState);
    CHECK(text == "workspace 'one' is in use by process " + self + " (a machine that starts)");
  }
  engine.kill();
  CHECK_FALSE(workspace.info().in_use);
  {
    // Somebody else asks at this moment.
    const auto asks = sys::FileLock::try_acquire(impl->workspaces.lock_file("one"), sys::FileLock::Mode::Shared);
    REQUIRE(asks);
    CHECK_FALSE(workspace.info().in_use);
  }
  CHECK_NOTHROW(core::claim_workspace(*impl, "one"));
  CHECK(error_of([&] { core::claim_workspace(*impl, "two"); }).first == ErrorCode::NotFound);
}

TEST_CASE_FIXTURE(Fixture,
                  "a workspace that goes while its lock is waited for is not there, whatever was read before") {
  const std::vector<std::function<void()>> uses{
      [&] { static_cast<void>(core::open_files(impl, "one", "a test", {})); },
      [&] { static_cast<void>(core::claim_workspace(*impl, "one")); },
  };
  for (const auto& use : uses) {
    create("one");
    fs::remove(impl->workspaces.lock_file("one"));
    bool gone = false;
    const sys::testing::FileCalls calls{impl->layout.home(), [&] {
                                          if (!std::exchange(gone, true))
                                            fs::remove_all(impl->workspaces.directory("one"));
                                        }};
    CHECK(error_of(use).second.starts_with("no workspace named 'one'"));
    CHECK(gone);
  }
}

TEST_CASE_FIXTURE(Fixture, "if many processes claim a disk at once, one gets it") {
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
  CHECK_FALSE(host.workspaces().open("one").info().clean);
  core::claim_workspace(*impl, "one");
  CHECK(host.workspaces().open("one").info().clean);
  CHECK(messages.empty());

  debugfs("one", "set_inode_field <2> links_count 9");
  debugfs("one", "set_super_value state 0");
  core::claim_workspace(*impl, "one");
  REQUIRE(messages.size() == 1);
  CHECK(messages[0].find("workspace 'one' was damaged and has been repaired") != std::string::npos);
  CHECK_FALSE(host.workspaces().open("one").check().repaired);

  std::ofstream{impl->workspaces.disk("one")} << "no disk at all";
  CHECK(error_of([&] { core::claim_workspace(*impl, "one"); }).first == ErrorCode::Corrupt);
}

TEST_CASE_FIXTURE(Fixture, "a disk with a feature that we do not make is opened by nothing") {
  auto workspace = create("one");
  debugfs("one", "feature inline_data");
  for (const auto& [code, text] : {error_of([&] { workspace.check(); }), error_of([&] { workspace.resize(128); }),
                                   error_of([&] { core::claim_workspace(*impl, "one"); }),
                                   error_of([&] { static_cast<void>(workspace.read_file("x")); })}) {
    CHECK(code == ErrorCode::Corrupt);
    CHECK(text.find("incompatible feature 0x8000") != std::string::npos);
  }
}

TEST_CASE("a copy is stopped before the next file and before the next piece") {
  const sys::TempDir folder{std::filesystem::temp_directory_path(), "transfer-test-"};
  sys::write_file_atomic(folder.path() / "file", "text");
  image::Tree tree;
  std::stop_source stop;
  CHECK(core::add_host_files(tree, "here", folder.path(), {}, stop.get_token()).files == 1);
  const sys::Fd out = sys::open_file(folder.path() / "out", O_WRONLY | O_CREAT);
  const auto write = core::writer_to(out.get(), stop.get_token());
  write("one");
  stop.request_stop();
  CHECK(error_of([&] {
          static_cast<void>(core::add_host_files(tree, "there", folder.path(), {}, stop.get_token()));
        }).first == ErrorCode::Cancelled);
  CHECK(error_of([&] { write("two"); }).first == ErrorCode::Cancelled);
  CHECK(sys::read_file(folder.path() / "out") == "one");
}

TEST_CASE("paths in a workspace are joined without a slash too many or too few") {
  CHECK(core::joined("", "").empty());
  CHECK(core::joined("a", "") == "a");
  CHECK(core::joined("", "b") == "b");
  CHECK(core::joined("a/b", "c") == "a/b/c");
  for (const auto& [path, normal] : std::vector<std::pair<std::string, std::string>>{
           {"", ""}, {"/", ""}, {".", ""}, {"a", "a"}, {"/a/", "a"}, {"a//b", "a/b"}, {"./a/./b/", "a/b"}}) {
    CAPTURE(path);
    CHECK(core::normal_path(path) == normal);
  }
  for (const std::string path : {"..", "a/..", "../a", "/../a", "a/../../b"}) {
    CAPTURE(path);
    CHECK(error_of([&] { static_cast<void>(core::normal_path(path)); }).first == ErrorCode::InvalidArgument);
  }
}

TEST_CASE_FIXTURE(Fixture, "an archive's lost+found stays out of a workspace, unless it is one in a folder") {
  image::Tree packed;
  packed.directory("lost+found");
  packed.file("lost+found/#12", 0644, "found");
  packed.file("memory/lost+found", 0644, "a note");
  const auto tar = folder.path() / "one.tar";
  {
    const auto file = sys::open_file(tar, O_WRONLY | O_CREAT | O_EXCL);
    image::write_tar(packed, core::writer_to(file.get(), {}));
  }
  const auto file = sys::open_file(tar, O_RDONLY);
  const sys::TempDir scratch{folder.path(), "scratch-"};
  const auto read = core::read_archive(file.get(), scratch.path(), {1234, 4321}, core::disk_tools(*impl));
  CHECK_FALSE(read.find("lost+found"));
  CHECK_FALSE(read.find("lost+found/#12"));
  CHECK(read.find("memory/lost+found"));
}

TEST_CASE("capabilities that a guest lists are given to files of the tree, and its nonsense to none") {
  image::Tree tree;
  tree.file("bin/ping", 0755, "ping");
  tree.link("bin/ping6", "bin/ping");
  tree.symlink("link", "bin/ping");
  using std::string_literals::operator""s;
  core::add_capabilities(tree, "0100 bin/ping\0"s + "0100 bin/ping6\0"s + "02 bin\0"s + "02 link\0"s + "02 gone\0"s);
  const auto ping = tree.nodes().at("bin/ping");
  CHECK(ping->xattrs.at("security.capability") == "\x01\0"s);
  CHECK(tree.nodes().at("bin/ping6") == ping);
  CHECK(tree.nodes().size() == 5);
  CHECK(tree.nodes().at("bin")->xattrs.empty());
  CHECK(tree.nodes().at("link")->type == image::NodeType::Symlink);
  for (const auto& listed : {"01 x"s, "01\0"s, " x\0"s, "0 x\0"s, "0g x\0"s, "+1 x\0"s, "01 ../x\0"s}) {
    CAPTURE(listed);
    CHECK_THROWS_AS(core::add_capabilities(tree, listed), Error);
  }
}

TEST_CASE_FIXTURE(Fixture, "files are for machines to look at, which there are after setup") {
  auto workspace = create("one");
  const auto [code, text] = error_of([&] { static_cast<void>(workspace.read_file("MEMORY.md")); });
  CHECK(code == ErrorCode::InvalidState);
  CHECK(text.find("fireclaw setup") != std::string::npos);
}

TEST_CASE_FIXTURE(Fixture,
                  "a change is made beside the disk, which is on disk itself before it takes the other one's place") {
  auto workspace = create("one");
  const sys::testing::FileCalls calls{impl->layout.workspaces()};
  workspace.resize(128);
  const auto lines = calls.lines_with({"sync", "rename", "one/disk.ext4"});
  CHECK(lines == std::vector<std::string>{"sync .draft-one-*/disk.ext4",
                                          "rename .draft-one-*/disk.ext4 -> one/disk.ext4", "sync one"});
}

TEST_CASE_FIXTURE(Fixture, "broken workspaces are listed with what is wrong, and can be removed") {
  create("disk-gone");
  create("record-torn");
  create("whole");
  fs::remove(impl->workspaces.disk("disk-gone"));
  std::ofstream{impl->workspaces.directory("record-torn") / "workspace.json"} << "{\"schema\":";
  const auto all = host.workspaces().list();
  REQUIRE(all.size() == 3);
  CHECK(all[0].problem.find("disk.ext4") != std::string::npos);
  CHECK(all[1].problem.find("workspace.json") != std::string::npos);
  CHECK(all[2].problem.empty());
  CHECK(error_of([&] { return host.workspaces().open("record-torn"); }).first == ErrorCode::Corrupt);
  host.workspaces().remove("disk-gone");
  host.workspaces().remove("record-torn");
  CHECK(host.workspaces().list().size() == 1);
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
  debugfs("one", "mkdir memory/kept");
  workspace.resize(512);
  CHECK(workspace.info().size_bytes == std::uint64_t{512} << 20);
  CHECK(workspace.info().disk_bytes < std::uint64_t{2} << 20);
  workspace.resize(64);
  CHECK(workspace.info().size_bytes == std::uint64_t{64} << 20);
  CHECK(seen("one", "ls -p memory").find("/kept/") != std::string::npos);
  for (const auto size : {std::uint64_t{1}, (std::uint64_t{1} << 44) + 64}) {
    CHECK(error_of([&] { workspace.resize(size); }).first == ErrorCode::InvalidArgument);
  }
  CHECK(workspace.info().size_bytes == std::uint64_t{64} << 20);
}

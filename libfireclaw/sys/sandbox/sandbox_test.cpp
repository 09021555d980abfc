#include "sys/sandbox/sandbox.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <thread>

#include "sys/sandbox/devices.hpp"
#include "sys/testing/support.hpp"

using namespace fireclaw;
using namespace fireclaw::sys;
using namespace fireclaw::sys::testing;

namespace {

const std::vector<std::filesystem::path> search_path{"/usr/sbin", "/usr/bin", "/sbin", "/bin"};
constexpr IdRange root_ids{1'900'000'000, 1000};

const Confinable& confinable() {
  static const Confinable found = find_confinement(root_ids, search_path);
  return found;
}

bool lacks_namespaces() {
  if (confinable().level == Confinement::Full) return false;
  MESSAGE("skipped: no namespaces here: " << confinable().obstacle);
  return true;
}

SpawnSpec shell(const std::string& line, Confinement level) {
  SpawnSpec spec;
  spec.argv = {"/bin/sh", "-c", line};
  spec.search_path = search_path;
  spec.sandbox.emplace();
  spec.sandbox->level = level;
  spec.sandbox->entries = program_entries("/bin/sh");
  for (const auto* folder : {"/usr/bin", "/bin"}) {
    const bool link = std::filesystem::is_symlink(folder);
    if (folder == std::string_view{"/bin"} && !link) continue;
    spec.sandbox->entries.insert(spec.sandbox->entries.begin(),
                                 {link ? SandboxEntry::Kind::Link : SandboxEntry::Kind::ReadOnly, folder});
  }
  std::erase_if(spec.sandbox->entries, [](const SandboxEntry& entry) { return entry.path == "/bin/sh"; });
  return spec;
}

std::string output_of(SpawnSpec spec) {
  Pipe pipe = make_pipe();
  spec.fds.emplace_back(pipe.write.get(), 1);
  spec.fds.emplace_back(pipe.write.get(), 2);
  Child child = Child::spawn(spec);
  { const Fd closed = std::move(pipe.write); }
  auto text = read_to_end(pipe.read.get());
  REQUIRE(child.wait(patience()));
  return text;
}

struct Idle {
  Child child;
  Fd input;
};

/// A confined program that runs until its input ends.
Idle idle(SpawnSpec spec) {
  Pipe pipe = make_pipe();
  spec.argv = {"/usr/bin/cat"};
  spec.fds.emplace_back(pipe.read.get(), 0);
  return {Child::spawn(spec), std::move(pipe.write)};
}

}  // namespace

TEST_CASE("a plan is described line by line") {
  Sandbox plan;
  plan.level = Confinement::Full;
  plan.user = 1900000001;
  plan.entries = {{SandboxEntry::Kind::ReadOnly, "/usr/lib"},
                  {SandboxEntry::Kind::Link, "/lib"},
                  {SandboxEntry::Kind::ReadOnly, "/etc/ld.so.cache", true},
                  {SandboxEntry::Kind::ReadWrite, "/home/runs/1"},
                  {SandboxEntry::Kind::Device, "/dev/kvm"},
                  {SandboxEntry::Kind::Folder, "/empty"}};
  plan.cgroup = "/sys/fs/cgroup/fireclaw/1";
  CHECK(describe(plan) == std::vector<std::string>{"level full", "namespaces user mnt pid ipc uts net",
                                                   "user 1900000001", "capabilities none, no new privileges",
                                                   "limits file 67108864 open 2048 locked 65536 core 0",
                                                   "cgroup /sys/fs/cgroup/fireclaw/1", "read /usr/lib", "link /lib",
                                                   "read /etc/ld.so.cache if it is there", "write /home/runs/1",
                                                   "device /dev/kvm", "folder /empty"});
  plan = Sandbox{};
  plan.level = Confinement::Landlock;
  plan.own_network = false;
  CHECK(describe(plan) == std::vector<std::string>{"level landlock", "landlock files", "user of the caller",
                                                   "capabilities none, no new privileges",
                                                   "limits file 67108864 open 2048 locked 65536 core 0"});
}

TEST_CASE("levels of confinement have names") {
  for (const auto level : {Confinement::None, Confinement::Landlock, Confinement::Full}) {
    CHECK(confinement_from_string(to_string(level)) == level);
  }
  CHECK_FALSE(confinement_from_string("half"));
}

TEST_CASE("subordinate ids are found by name or number, and malformed lines are passed over") {
  const std::string_view file =
      "# comment\nann:100000:65536\nbroken\nbob:x:1\n1007:300000:10\nbob:200000:5\nempty:1:0\n";
  CHECK(parse_subordinate_ids(file, "ann", 1000) == IdRange{100000, 65536});
  CHECK(parse_subordinate_ids(file, "bob", 1001) == IdRange{200000, 5});
  CHECK(parse_subordinate_ids(file, "", 1007) == IdRange{300000, 10});
  CHECK_FALSE(parse_subordinate_ids(file, "empty", 1));
  CHECK_FALSE(parse_subordinate_ids(file, "eve", 1002));
  CHECK_FALSE(parse_subordinate_ids(":5:5\n", "", 1002));
  // Whoever wrote it may have left the last line open.
  CHECK(parse_subordinate_ids("bob:1:1\nann:100000:65536", "ann", 1000) == IdRange{100000, 65536});
}

TEST_CASE("a static program needs no libraries, and a script needs an interpreter") {
  const TempDir folder{"/tmp", "sandbox"};
  const auto script = folder.path() / "script";
  write_file_atomic(script, "#!/bin/sh\n", 0755);
  const auto entries = program_entries(script);
  CHECK(std::ranges::any_of(entries, [](const SandboxEntry& entry) { return entry.path == "/usr/bin"; }));
  CHECK(entries.back() == SandboxEntry{SandboxEntry::Kind::ReadOnly, script});
  CHECK(error_of([&] { program_entries(folder.path() / "none"); }).first == ErrorCode::NotFound);
}

TEST_CASE("a confined program sees nothing but what its plan shows") {
  if (lacks_namespaces()) return;
  const TempDir folder{"/tmp", "sandbox"};
  write_file_atomic(folder.path() / "shown", "text", 0644);
  write_file_atomic(folder.path() / "hidden", "text", 0644);
  auto spec = shell("cd / && ls -A; ls -A /tmp/*; cat " + (folder.path() / "shown").string(), Confinement::Full);
  spec.sandbox->entries.push_back({SandboxEntry::Kind::ReadOnly, folder.path() / "shown"});
  const auto text = output_of(spec);
  CHECK(text.find("hidden") == std::string::npos);
  CHECK(text.find("shown\ntext") != std::string::npos);
  CHECK(text.find("proc") == std::string::npos);
  CHECK(text.find("root") == std::string::npos);
}

TEST_CASE("what is shown to be read cannot be written, also as the caller's own user") {
  for (const auto level : {Confinement::Full, Confinement::Landlock}) {
    if (level > confinable().level) continue;
    const TempDir folder{"/tmp", "sandbox"};
    const auto file = folder.path() / "file";
    const auto own = folder.path() / "own";
    write_file_atomic(file, "before", 0666);
    make_directories(own, 0777);
    auto spec = shell(fmt::format("echo after > {}; echo more > {}; echo new > {}; echo no > {}", file.string(),
                                  (own / "made").string(), (folder.path() / "other").string(), "/usr/lib/fireclaw-no"),
                      level);
    spec.sandbox->entries.push_back({SandboxEntry::Kind::ReadOnly, file});
    spec.sandbox->entries.push_back({SandboxEntry::Kind::ReadWrite, own});
    const auto text = output_of(spec);
    INFO(to_string(level), ": ", text);
    CHECK(read_file(file) == "before");
    CHECK(read_file(own / "made") == "more\n");
    CHECK_FALSE(std::filesystem::exists(folder.path() / "other"));
    CHECK_FALSE(std::filesystem::exists("/usr/lib/fireclaw-no"));
  }
}

TEST_CASE("a device is reached as it is, by its group, or by a node of the user's own") {
  CHECK(device_access(0666, 0, 0) == DeviceAccess::Everybody);
  CHECK(device_access(0660, 104, 0) == DeviceAccess::Group);
  // The caller's own group is not given away.
  CHECK(device_access(0660, 0, 0) == DeviceAccess::OwnNode);
  CHECK(device_access(0600, 104, 0) == DeviceAccess::OwnNode);
  CHECK(device_access(0640, 104, 0) == DeviceAccess::OwnNode);
  CHECK(device_access(0664, 104, 0) == DeviceAccess::Group);
}

TEST_CASE("a device that is root's alone is opened by the user of a confined program") {
  const TempDir folder{"/tmp", "sandbox"};
  const auto device = folder.path() / "devices" / "zero";
  make_directories(device.parent_path(), 0755);
  REQUIRE(::chmod(folder.path().c_str(), 0755) == 0);
  if (::geteuid() != 0 || !confinable().ids || ::mknod(device.c_str(), S_IFCHR | 0600, makedev(1, 5)) != 0 ||
      !device_obstacle(device, root_ids.first).empty()) {
    MESSAGE("skipped: no nodes of devices can be made here");
    return;
  }
  const auto mask = ::umask(0077);
  for (const mode_t mode : {0600, 0660}) {
    REQUIRE(::chmod(device.c_str(), mode) == 0);
    auto spec =
        shell(fmt::format("head -c 2 {0} | od -An -tx1; echo x > {0} && echo written; stat -c '%a %u %t:%T' {0}; "
                          "id -G; echo x > {1}/made; mknod {1}/other c 1 5",
                          device.string(), device.parent_path().string()),
              Confinement::Full);
    spec.sandbox->entries.push_back({SandboxEntry::Kind::Device, device});
    spec.sandbox->user = root_ids.first + 5;
    const auto text = output_of(spec);
    INFO(text);
    CHECK(text.starts_with(" 00 00\nwritten\n600 1 1:5\n1\n"));
    CHECK(text.find("Read-only file system") != std::string::npos);
    CHECK(text.find("made: ") != std::string::npos);
    CHECK(text.find("other: ") != std::string::npos);
  }
  ::umask(mask);
  // The device itself stays what it was.
  struct stat status {};
  REQUIRE(::stat(device.c_str(), &status) == 0);
  CHECK(status.st_uid == 0);
  CHECK((status.st_mode & 0777) == 0660);
  CHECK(device_obstacle(folder.path() / "none", root_ids.first) == "");
}

TEST_CASE("a confined program has no capabilities, namespaces of its own and limits") {
  if (lacks_namespaces()) return;
  auto spec = shell("", Confinement::Full);
  spec.sandbox->limits = {1 << 20, 77, 4096};
  spec.sandbox->user = confinable().ids ? std::optional{confinable().ids->first + 3} : std::nullopt;
  const auto running = idle(spec);
  const auto pid = running.child.id().pid;
  const auto seen = see_confinement(pid);
  CHECK_FALSE(seen.capabilities);
  CHECK(seen.no_new_privileges);
  CHECK(seen.namespaces == std::vector<std::string>{"mnt", "pid", "net", "user", "ipc", "uts"});
  CHECK(seen.user == spec.sandbox->user.value_or(::geteuid()));
  const auto status = read_file(fmt::format("/proc/{}/status", pid));
  CHECK(status.find("CapBnd:\t0000000000000000") != std::string::npos);
  const auto expect = [&](auto resource, rlim_t value) {
    rlimit limit{};
    REQUIRE(::prlimit(pid, resource, nullptr, &limit) == 0);
    CHECK(limit.rlim_cur == value);
    CHECK(limit.rlim_max == value);
  };
  if (::geteuid() == 0) {
    expect(RLIMIT_FSIZE, 1 << 20);
    expect(RLIMIT_NOFILE, 77);
    expect(RLIMIT_MEMLOCK, 4096);
    expect(RLIMIT_CORE, 0);
  }
  // The host's view of the process stays what it was.
  CHECK(identify(pid) == running.child.id());
}

TEST_CASE("the caller's mask of modes keeps nobody out of a root, and stays what it was") {
  if (lacks_namespaces()) return;
  const auto before = ::umask(0077);
  auto spec = shell("echo in", Confinement::Full);
  if (::geteuid() == 0 && confinable().ids) spec.sandbox->user = confinable().ids->first;
  const auto text = output_of(spec);
  CHECK(::umask(before) == 0077);
  CHECK(text == "in\n");
}

TEST_CASE("a process that starts confined programs can still be looked into, as others of its user can") {
  if (lacks_namespaces()) return;
  auto spec = shell("true", Confinement::Full);
  if (confinable().ids) spec.sandbox->user = confinable().ids->first;
  const int before = ::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
  output_of(spec);
  CHECK(::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == before);
}

TEST_CASE("a confined program can make no further user namespace") {
  if (lacks_namespaces()) return;
  struct statvfs status {};
  if (::statvfs("/proc/sys", &status) != 0 || (status.f_flag & ST_RDONLY) != 0) {
    MESSAGE("skipped: /proc/sys cannot be written here");
    return;
  }
  const auto text = output_of(shell("unshare -Ur true && echo made", Confinement::Full));
  CHECK(text.find("made") == std::string::npos);
}

TEST_CASE("descriptors reach a confined program, and no other does") {
  if (lacks_namespaces()) return;
  const TempDir folder{"/tmp", "sandbox"};
  write_file_atomic(folder.path() / "secret", "secret", 0600);
  const Fd secret = open_file(folder.path() / "secret", O_RDONLY);
  REQUIRE(::fcntl(secret.get(), F_SETFD, 0) == 0);  // as a host program leaks one
  auto spec = shell(fmt::format("cat <&9; cat <&{} || echo closed", secret.get()), Confinement::Full);
  const Fd given = open_file("/etc/hostname", O_RDONLY);
  spec.fds.emplace_back(given.get(), 9);
  const auto text = output_of(spec);
  CHECK(text.starts_with(read_file("/etc/hostname")));
  CHECK(text.find("secret") == std::string::npos);
}

TEST_CASE("a confined program opens again what it was given, and finds nothing else in /proc") {
  if (lacks_namespaces()) return;
  auto spec = shell("read line < /proc/self/fd/9; echo $line; ls /proc /proc/self; echo x > /proc/self/fd/9",
                    Confinement::Full);
  spec.sandbox->entries.push_back({SandboxEntry::Kind::ReadOnly, "/proc/self/fd"});
  const TempDir folder{"/tmp", "sandbox"};
  write_file_atomic(folder.path() / "file", "secret\n", 0644);
  const Fd given = open_file(folder.path() / "file", O_RDONLY);
  spec.fds.emplace_back(given.get(), 9);
  if (::geteuid() == 0) spec.sandbox->user = root_ids.first;
  const auto text = output_of(spec);
  CHECK(text.starts_with("secret\n/proc:\nself\n\n/proc/self:\nfd\n"));
  if (spec.sandbox->user) CHECK(read_file(folder.path() / "file") == "secret\n");
}

TEST_CASE("a folder that cannot be shown fails the start, and nothing is left of the process") {
  if (lacks_namespaces()) return;
  auto spec = shell("true", Confinement::Full);
  spec.sandbox->entries.push_back({SandboxEntry::Kind::ReadOnly, "/no/such/file"});
  const auto [code, text] = error_of([&] { Child::spawn(spec); });
  CHECK(code == ErrorCode::NotFound);
  CHECK(text == "look at '/no/such/file' for a sandbox: no such file or directory");
  spec.sandbox->entries.back() = {SandboxEntry::Kind::ReadOnly, "relative"};
  CHECK(error_of([&] { Child::spawn(spec); }).first == ErrorCode::InvalidArgument);
  spec.sandbox->entries.pop_back();
  spec.argv[0] = "/usr/local/lib/no-program-here";
  CHECK(error_of([&] { Child::spawn(spec); }).first == ErrorCode::NotFound);
  spec = shell("true", Confinement::Full);
  spec.cwd = "/home";
  CHECK(error_of([&] { Child::spawn(spec); }).first == ErrorCode::NotFound);
}

TEST_CASE("an exit status and a signal of a confined program are told as of any other") {
  if (lacks_namespaces()) return;
  CHECK(Child::spawn(shell("exit 7", Confinement::Full)).wait(patience()) == ExitStatus{.code = 7, .signal = 0});
  auto running = idle(shell("", Confinement::Full));
  CHECK(running.child.kill() == ExitStatus{.code = std::nullopt, .signal = SIGKILL});
}

TEST_CASE("a file larger than its limit cannot be written by a confined program") {
  const TempDir folder{"/tmp", "sandbox"};
  const auto own = folder.path() / "own";
  make_directories(own, 0777);
  auto spec = shell(fmt::format("head -c 100000 /usr/bin/sh > {}", (own / "file").string()), confinable().level);
  spec.sandbox->limits.file_bytes = 5000;
  spec.sandbox->entries.push_back({SandboxEntry::Kind::ReadWrite, own});
  output_of(spec);
  CHECK(std::filesystem::file_size(own / "file") == 5000);
}

TEST_CASE("a confined program joins its cgroup before it runs") {
  std::filesystem::path root;
  for (const auto* folder : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}) {
    if (std::filesystem::exists(std::filesystem::path{folder} / "cgroup.controllers")) root = folder;
  }
  const auto cgroup = root / fmt::format("fireclaw-test-{}", ::getpid());
  if (root.empty() || ::mkdir(cgroup.c_str(), 0755) != 0) {
    MESSAGE("skipped: no cgroup of version 2 can be made here");
    return;
  }
  auto spec = shell("", confinable().level);
  spec.sandbox->cgroup = cgroup;
  auto running = idle(spec);
  CHECK(read_file(cgroup / "cgroup.procs") == fmt::format("{}\n", running.child.id().pid));
  CHECK(see_confinement(running.child.id().pid).cgroup == "/" + cgroup.filename().string());
  running.child.kill();
  CHECK(::rmdir(cgroup.c_str()) == 0);
}

TEST_CASE("a confined program can be started by any thread, and outlives that thread") {
  if (lacks_namespaces()) return;
  auto spec = shell("", Confinement::Full);
  if (confinable().ids) spec.sandbox->user = confinable().ids->first;
  std::optional<Idle> running;
  std::thread{[&] { running.emplace(idle(spec)); }}.join();
  CHECK(is_alive(running->child.id()));
  { const Fd closed = std::move(running->input); }
  CHECK(running->child.wait(patience()) == ExitStatus{.code = 0, .signal = 0});
}

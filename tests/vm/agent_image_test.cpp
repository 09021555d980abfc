// The image that agents run in, in a real guest: its tools, its user, the bot, and rootless podman on a disk, with an
// image made here from this host's static busybox. Nothing is fetched from anywhere.
#include <doctest/doctest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "support.hpp"

using namespace fireclaw;
using test::shell;

namespace {

constexpr const char* image = "debian-agent";

/// One machine for all: an emulated Debian takes its time to boot. Its home is a disk, as an agent's is.
VM& vm() {
  static VM machine = [] {
    VMConfig config;
    config.image = image;
    config.memory_mib = 384;
    config.scratch_mib = 512;
    config.scratch_target = "/home/agent";
    config.scratch_uid = 1000;
    config.scratch_gid = 1000;
    config.start = StartMode::Cold;
    return test::open_host().vms().run(config);
  }();
  return machine;
}

ExecResult as_agent(const std::string& line) {
  ExecOptions options = ExecOptions::shell(line);
  options.user = "agent";
  // Emulated, on a machine that does other things too, podman takes long to come up.
  options.timeout = std::chrono::minutes{4};
  return vm().exec(options);
}

/// What it printed; fails the test unless it exits with 0.
std::string agent(const std::string& line) {
  ExecResult result = as_agent(line);
  INFO("command: ", line, "\nstdout: ", result.out, "\nstderr: ", result.err);
  REQUIRE_FALSE(result.timed_out);
  REQUIRE(result.exit_code == 0);
  if (result.out.ends_with('\n')) result.out.pop_back();
  return result.out;
}

/// Puts a text file into the guest.
void put(const std::string& path, const std::string& text) {
  const test::TempFolder folder;
  std::ofstream{folder.path() / "file"} << text;
  vm().copy_in(folder.path() / "file", path);
}

/// The container image "box": a busybox and nothing else. Imported once.
void require_box() {
  static const bool imported = [] {
    const test::TempFolder folder;
    std::filesystem::create_directories(folder.path() / "root/bin");
    std::filesystem::copy_file("/bin/busybox", folder.path() / "root/bin/busybox");
    for (const char* name : {"sh", "cat", "echo", "id", "sleep", "touch", "dd"}) {
      std::filesystem::create_symlink("busybox", folder.path() / "root/bin" / name);
    }
    const std::string tar = folder.path() / "box.tar";
    REQUIRE(std::system(("tar -C '" + (folder.path() / "root").string() + "' -cf '" + tar + "' .").c_str()) == 0);
    vm().copy_in(tar, "/tmp/box.tar");
    agent("podman import --quiet /tmp/box.tar box");
    return true;
  }();
  REQUIRE(imported);
}

}  // namespace

TEST_CASE("the tools that agents are told of are there") {
  CHECK(agent("id -un; id -u; id -g; echo $HOME; stat -c %U:%a /home/agent") ==
        "agent\n1000\n1000\n/home/agent\nagent:755");
  CHECK(agent("python3 -c 'import sys; print(sys.version_info[:2] >= (3, 9))'") == "True");
  CHECK(
      agent(
          "for tool in bash curl file git gzip ip jq less ping podman ps tar unzip xz; do command -v $tool >/dev/null "
          "|| echo no $tool; done")
          .empty());
  // What Python's bot and curl need to trust a server.
  CHECK(agent("test -s /etc/ssl/certs/ca-certificates.crt && echo yes") == "yes");
  CHECK(agent("touch /workspace/mine && stat -c %U /workspace/mine") == "agent");
}

TEST_CASE("an ordinary user has what a login gives: a folder for sockets and a cgroup to divide") {
  CHECK(agent("echo $XDG_RUNTIME_DIR; stat -c %U:%a $XDG_RUNTIME_DIR") == "/run/user/1000\nagent:700");
  CHECK(agent("cat /proc/self/cgroup") == "0::/user-1000/commands");
  CHECK(agent("cat /sys/fs/cgroup/user-1000/cgroup.subtree_control") == "cpu memory pids");
  CHECK(agent("cd /sys/fs/cgroup/user-1000 && mkdir mine && echo 1234567 >mine/memory.max && cat mine/memory.max && "
              "rmdir mine") == "1232896");
  // The limits of the user's own cgroup are root's to set, and root's commands stay out of it.
  CHECK(as_agent("echo max >/sys/fs/cgroup/user-1000/memory.max").exit_code != 0);
  CHECK(shell(vm(), "cat /proc/self/cgroup; echo ${XDG_RUNTIME_DIR-none}") == "0::/\nnone");
}

TEST_CASE("user agent cannot become root") {
  CHECK(as_agent("cat /etc/shadow").exit_code != 0);
  CHECK(as_agent("su -c id </dev/null").exit_code != 0);
  CHECK(agent("command -v sudo doas pkexec || echo none") == "none");
  // Nobody has a password, and nobody but root and agent a shell that one could log in to.
  CHECK(shell(vm(), "awk -F: '$2 !~ /^[*!]/ { print $1 }' /etc/shadow").empty());
  // Root of its own namespace is nobody outside.
  CHECK(agent("unshare --user --map-root-user id -u") == "0");
  CHECK(as_agent("unshare --user --map-root-user cat /etc/shadow").exit_code != 0);
  CHECK(as_agent("podman unshare cat /etc/shadow").exit_code != 0);
  CHECK(as_agent("echo 1 >/proc/sys/kernel/panic").exit_code != 0);
  CHECK(as_agent("kill -9 1").exit_code != 0);
  CHECK(as_agent("cat /dev/vda").exit_code != 0);
}

TEST_CASE("the bot is there, compiled, and checks configurations") {
  constexpr const char* python = "PYTHONPATH=/usr/lib/fireclaw/agent python3";
  put("/tmp/compiled.py", R"(
import glob, importlib.util, marshal
sources = glob.glob("/usr/lib/fireclaw/agent/bot/**/*.py", recursive=True)
assert len(sources) > 20, sources
for source in sources:
    with open(importlib.util.cache_from_source(source), "rb") as file:
        data = file.read()
    assert data[:4] == importlib.util.MAGIC_NUMBER, source
    assert data[4:8] == b"\1\0\0\0", source  # by hash, never compared
    assert data[8:16] == importlib.util.source_hash(open(source, "rb").read()), source
    assert marshal.loads(data[16:]).co_filename == source
print("compiled")
)");
  CHECK(agent("python3 /tmp/compiled.py") == "compiled");
  put("/tmp/good.json", R"({"name": "mender", "server": {"host": "irc.example"},
                            "llm": {"url": "http://127.0.0.1:11434", "model": "qwen2.5:7b"}})");
  put("/tmp/bad.json", R"({"name": "a mender", "server": {"host": "irc.example"}})");
  CHECK(agent(std::string{python} + " -m bot --check --config /tmp/good.json").empty());
  const ExecResult refused = as_agent(std::string{python} + " -m bot --check --config /tmp/bad.json");
  CHECK(refused.exit_code == 2);
  CHECK(refused.err.find("name") != std::string::npos);
  // As agents are started: everything loaded, waiting for a configuration.
  CHECK(agent("mkfifo /tmp/said; " + std::string{python} +
              " -m bot --wait-config --config /tmp/none >/tmp/said & read line </tmp/said; kill -TERM $!; wait $!; "
              "echo $line $?") == "ready 0");
}

TEST_CASE("rootless podman imports a root file system and runs commands in it") {
  require_box();
  CHECK(
      agent("podman info --format '{{.Store.GraphDriverName}} {{.Host.CgroupManager}} {{.Host.Security.Rootless}}'") ==
      "overlay cgroupfs true");
  CHECK(agent("echo given | podman run --rm --interactive --network none box sh -c 'cat; id -u; echo $0'") ==
        "given\n0\nsh");
  CHECK(as_agent("podman run --rm --network none box sh -c 'exit 7'").exit_code == 7);
  const ExecResult failed = as_agent("podman run --rm --network none box sh -c 'echo out; echo err >&2; cat /nothing'");
  CHECK(failed.exit_code == 1);
  CHECK(failed.out == "out\n");
  CHECK(failed.err.rfind("err\n", 0) == 0);
  // Files of the container's root are the agent's own outside.
  CHECK(agent("mkdir -p ~/shared && podman run --rm --network none --volume ~/shared:/shared box touch /shared/x && "
              "stat -c %U ~/shared/x") == "agent");
  CHECK(agent("podman ps --all --quiet").empty());
}

TEST_CASE("a container below the user's own cgroup has limits that hold") {
  require_box();
  const std::string run = "podman run --rm --network none --cgroup-parent /user-1000 ";
  // Not every kernel can limit processors.
  const bool processors = as_agent("test -e /sys/fs/cgroup/user-1000/commands/cpu.max").exit_code == 0;
  const std::string limits = processors ? "--memory 40m --pids-limit 20 --cpus 0.5" : "--memory 40m --pids-limit 20";
  const std::string look = " box sh -c 'cd /sys/fs/cgroup; cat memory.max pids.max; cat cpu.max 2>/dev/null || true'";
  CHECK(agent(run + limits + look) == (processors ? "41943040\n20\n50000 100000" : "41943040\n20"));
  // One that wants more is ended, not the machine.
  const ExecResult greedy = as_agent(
      run + "--memory 40m --memory-swap 40m --tmpfs /big:rw,size=200m box dd if=/dev/zero of=/big/x bs=1M count=100");
  CHECK(greedy.exit_code == 137);
  CHECK(agent("echo alive") == "alive");
}

TEST_CASE("a container's network is its own, made without privileges") {
  require_box();
  CHECK(agent("podman run --rm box sh -c 'while read -r name rest; do case $name in *:) echo $name;; esac; done "
              "</proc/net/dev'") == "lo:\ntap0:");
}

TEST_CASE("the bot's container_run works with this podman, and a container that is late is gone") {
  require_box();
  put("/tmp/tool.py", R"(
import os, subprocess, time
from bot.base import config
from bot.base.cancel import Cancel
from bot.llm.conversation import ToolCall
from bot.tools.audit import Audit
from bot.tools.memory import Memory
from bot.tools.toolbox import ToolBox

def run(command, timeout_s):
    settings = config.parse({"name": "mender", "server": {"host": "irc.example"},
                             "llm": {"url": "http://127.0.0.1:1", "model": "m"}, "workspace": "/workspace",
                             "tools": {"timeout_s": timeout_s, "containers": {"memory_mib": 64, "pids": 30}}})
    memory = Memory(settings.workspace)
    memory.prepare()
    with Cancel() as cancel:
        box = ToolBox(settings, memory, Audit(settings.workspace))
        return box.call(ToolCall("container_run", {"image": "box", "command": command}, "1", ""), cancel)

began = time.monotonic()
print(run("cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max; echo kept >/workspace/file; exit 3", 200))
# As long as it takes for the container to run, whatever else this machine has to do: it says so.
limit = 5 + 3 * (time.monotonic() - began)
late = run("touch /workspace/running; sleep 86399", limit)
print(late.startswith(f"timed out after {limit:g} s"), os.path.exists("/workspace/running"))
left = subprocess.run(["podman", "ps", "--all", "--quiet"], capture_output=True, text=True, check=True).stdout
print("left:", left.split())
)");
  CHECK(agent("PYTHONPATH=/usr/lib/fireclaw/agent python3 /tmp/tool.py") ==
        "exit status 3\n67108864\n30\nTrue True\nleft: []");
  CHECK(agent("cat /workspace/file; stat -c %U /workspace/file") == "kept\nagent");
  CHECK(as_agent("pgrep --full '^sleep 86399$'").exit_code == 1);
}

TEST_CASE("the SSH server lets in who has the key, as agent, and makes a host key of its own") {
  CHECK(shell(vm(), "find /etc/dropbear -name '*host_key*' 2>/dev/null | wc -l") == "0");
  agent("dropbearkey -t ed25519 -f /tmp/id >/dev/null 2>&1 && dropbearkey -y -f /tmp/id | grep ^ssh- >/tmp/id.pub");
  const std::string host_key = shell(vm(), "/usr/lib/fireclaw/agent/ssh-server 2222 </tmp/id.pub");
  CHECK(host_key.rfind("ssh-ed25519 ", 0) == 0);
  const std::string client = "dbclient -y -p 2222 -i ";
  CHECK(agent(client + "/tmp/id agent@127.0.0.1 'id -un; pwd' 2>/dev/null") == "agent\n/home/agent");
  CHECK(as_agent(client + "/tmp/id root@127.0.0.1 id </dev/null").exit_code != 0);
  agent("dropbearkey -t ed25519 -f /tmp/other >/dev/null 2>&1");
  CHECK(as_agent(client + "/tmp/other agent@127.0.0.1 id </dev/null").exit_code != 0);
  // Again: the server and its key stay, the keys that it takes are new.
  CHECK(shell(vm(), "dropbearkey -y -f /tmp/other | grep ^ssh- | /usr/lib/fireclaw/agent/ssh-server 2222") == host_key);
  CHECK(agent(client + "/tmp/other agent@127.0.0.1 id -un 2>/dev/null") == "agent");
  CHECK(as_agent(client + "/tmp/id agent@127.0.0.1 id </dev/null").exit_code != 0);
}

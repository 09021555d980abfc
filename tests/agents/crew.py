"""What the tests of agents share: a network namespace of their own, a real IRC server, an LLM that follows a script,
and the fireclaw program. Agents here run in real machines."""

from __future__ import annotations

import atexit
import ctypes
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))

import ngircd  # noqa: E402
from irc_client import Human  # noqa: E402
from scripted_llm import ScriptedLlm  # noqa: E402

FIRECLAW = os.environ["FIRECLAW_PROGRAM"]
HOME = os.environ.get("FIRECLAW_TEST_HOME") or os.environ["FIRECLAW_BUILD_HOME"]
START_SECONDS = 240
CLONE_NEWNET = 0x40000000


def enter_private_network() -> None:
    """Moves this process into a network namespace of its own, so that bridge, taps and servers are nobody else's.
    Exit status 77 (skipped) where that is not allowed. Nothing if they were made for it (as_user.py)."""
    if "FIRECLAW_TEST_INSIDE" in os.environ:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        print(f"skipped: no network namespace of its own can be had here: {os.strerror(ctypes.get_errno())}")
        raise SystemExit(77)
    # Reading an interface's flags and setting them again, without any program that may not be installed.
    import fcntl
    import socket
    import struct

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sH14x", b"lo", 0x1 | 0x40)
        fcntl.ioctl(any_socket, 0x8914, request)
    # The gateway's program stays for the next machine, and would keep the namespace.
    atexit.register(fireclaw, "network", "down")


def arguments(*words: str, home: str = HOME) -> List[str]:
    common = [FIRECLAW, "--home", home]
    if engine := os.environ.get("FIRECLAW_TEST_ENGINE"):
        common += ["--engine", engine]
    return [*common, *words]


def fireclaw(*words: str, stdin: bytes = b"", timeout: float = START_SECONDS,
             home: str = HOME) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(arguments(*words, home=home), input=stdin, capture_output=True, timeout=timeout)
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode("utf-8", "replace"),
                                       done.stderr.decode("utf-8", "replace"))


def ok(*words: str, **more: Any) -> str:
    """What a command that must succeed prints."""
    done = fireclaw(*words, **more)
    if done.returncode != 0:
        raise AssertionError(f"fireclaw {' '.join(words)}: status {done.returncode}: {done.stderr}")
    return done.stdout


def agents() -> Dict[str, Dict[str, Any]]:
    return {agent["name"]: agent for agent in json.loads(ok("agent", "list", "--json"))}


def eventually(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    """The first true value of `condition`; fails after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        if value := condition():
            return value
        if time.monotonic() > end:
            raise AssertionError(f"still not so after {seconds} s: {condition}")
        time.sleep(0.05)


def engines_of(home: str = HOME) -> List[int]:
    """Processes that work in a machine's folder of this home."""
    runs = os.path.realpath(home) + "/runs/"
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                if os.readlink(f"/proc/{entry}/cwd").startswith(runs):
                    found.append(int(entry))
            except OSError:
                pass
    return found


def command_line(pid: int) -> str:
    """With the process's id before it and its state from /proc behind it."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        state = re.search(r"^State:.*$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
        return f"{pid}: {words}({state.group() if state else ''})"
    except OSError:
        return f"{pid}: ended meanwhile"


def engine(home: str = HOME) -> str:
    """What machines run on here: the best engine that setup has seen to work, or the one that was asked for."""
    engines = json.loads(Path(home, "config.json").read_text())["engines"]
    working = {entry["engine"] for entry in engines if entry["works"]}
    wanted = os.environ.get("FIRECLAW_TEST_ENGINE", "auto")
    return next(name for name in ("firecracker", "qemu-kvm", "qemu-tcg") if name in working and wanted in ("auto", name, name.split("-")[0]))


def has_user_network() -> bool:
    """Whether the engine has a network of its own, which needs no bridge."""
    return engine() != "firecracker"


def interfaces() -> List[str]:
    return sorted(name for name in os.listdir("/sys/class/net")) if os.path.isdir("/sys/class/net") else []


def taps() -> List[str]:
    """Names of the taps in this process's network namespace (/sys would show the namespace it was mounted in)."""
    lines = Path("/proc/net/dev").read_text().splitlines()[2:]
    return sorted(name for name in (line.split(":")[0].strip() for line in lines) if name.startswith("fc") and name != "fcbr0")


def forget_agents() -> None:
    for name, agent in agents().items():
        if agent["vm"]:
            ok("agent", "stop", name)
        ok("agent", "remove", name)
        fireclaw("workspace", "remove", name)


def clear_leftovers() -> None:
    """What an earlier test or suite has left in the home must not make this one fail."""
    found = {kind: sorted(os.listdir(folder)) for kind in ("agents", "runs") if os.path.isdir(folder := os.path.join(HOME, kind))}
    if not any(found.values()):
        return
    print(f"warning: {HOME} is not as it should be found; what an earlier test has left is ended and removed: {found}",
          file=sys.stderr)
    forget_agents()
    for machine in json.loads(ok("vm", "list", "--json")):
        fireclaw("vm", "kill", machine["id"])
    ok("gc")


class Crew(unittest.TestCase):
    """An IRC server and an LLM on the addresses that agents look for them by default."""

    folder: str
    llm: ScriptedLlm
    irc: "ngircd.Ngircd"

    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = tempfile.mkdtemp(prefix="fireclaw-crew-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.llm = ScriptedLlm([{"reply": {"content": "Hello!"}}], host="0.0.0.0", port=11434)
        cls.addClassCleanup(cls.llm.close)
        cls.irc = ngircd.Ngircd(cls.folder, listen="0.0.0.0", port=6667)
        cls.addClassCleanup(cls.irc.stop)

    def setUp(self) -> None:
        clear_leftovers()
        # A server that has run takes agents of other tests, whose engines were killed, for alive.
        type(self).irc.stop(kill=True)
        type(self).irc.start()
        self.llm.rules({"reply": {"content": "Hello!"}})
        self.addCleanup(self.nothing_is_left)

    def nothing_is_left(self) -> None:
        """Ends and forgets every agent, and checks that nothing of their machines stays."""
        forget_agents()
        ok("gc")
        self.assertEqual([command_line(pid) for pid in engines_of()], [])
        self.assertEqual(os.listdir(os.path.join(HOME, "runs")), [])
        self.assertEqual(taps(), [])

    def start(self, template: str, *options: str) -> Dict[str, Any]:
        info: Dict[str, Any] = json.loads(ok("agent", "start", template, "--json", *options))
        self.assertTrue(info["online"], info)
        return info

    def human(self, nick: str = "alice", channel: Optional[str] = "#agents", password: str = "") -> Human:
        human = Human(self.irc.port, nick, password=password)
        self.addCleanup(human.__exit__)
        if channel:
            human.join(channel)
        return human

    def system_prompt(self, request: Dict[str, Any]) -> str:
        return str(request["body"]["messages"][0]["content"])


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def matches(pattern: str, text: str) -> bool:
    return re.search(pattern, text) is not None


def main() -> None:
    """Runs the tests of the script that was started. Exit status 77 (skipped) where there is no IRC server."""
    if ngircd.PATH is None:
        print("skipped: ngircd is not installed")
        raise SystemExit(77)
    enter_private_network()
    unittest.main(verbosity=2)

"""Machines with a network for a user who has no rights to the host's.

The host is a network namespace that this test makes, with an uplink to another one that is the internet. fireclaw runs in
it as user nobody, without capabilities.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path
from typing import Any, Callable, Optional

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))

import ordinary_user  # noqa: E402
from ordinary_user import run  # noqa: E402

FIRECLAW = os.environ["FIRECLAW_PROGRAM"]
HOME = os.environ.get("FIRECLAW_TEST_HOME") or os.environ["FIRECLAW_BUILD_HOME"]
LIMIT_SECONDS = 120
INSIDE = "FIRECLAW_TEST_INSIDE"

SERVER = """
import socketserver, sys
class Handler(socketserver.BaseRequestHandler):
    def handle(self): self.request.sendall((sys.argv[3] + " " + self.client_address[0] + "\\n").encode())
socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()
"""

# Says of every name that its address is 203.0.113.7.
NAME_SERVER = """
import socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("203.0.113.7", 53))
while True:
    asked, client = server.recvfrom(512)
    answer = b"\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\0\\x3c\\0\\4" + socket.inet_aton("203.0.113.7")
    server.sendto(asked[:2] + b"\\x81\\x80\\0\\1\\0\\1\\0\\0\\0\\0" + asked[12:] + answer, client)
"""


def wait_until(condition: Callable[[], Any], seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return bool(condition())


def said(address: str, port: int, family: int = socket.AF_INET) -> Optional[str]:
    """What a server says first; None if there is none."""
    with socket.socket(family, socket.SOCK_STREAM) as client:
        client.settimeout(10)
        try:
            client.connect((address, port))
            return client.recv(100).decode().strip()
        except OSError:
            return None


REASON = ordinary_user.reason_against()


@unittest.skipIf(REASON is not None, REASON or "")
class OrdinaryUser(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.processes: list["subprocess.Popen[str]"] = []
        cls.folder = tempfile.TemporaryDirectory(prefix="fireclaw-user-")
        cls.home = ordinary_user.make_host(Path(cls.folder.name), HOME)
        internet = subprocess.Popen(["unshare", "--net", "sleep", "3600"], text=True)
        cls.processes.append(internet)
        wait_until(lambda: os.readlink(f"/proc/{internet.pid}/ns/net") != os.readlink("/proc/self/ns/net"))
        cls.there = ["nsenter", "-t", str(internet.pid), "-n"]
        run("ip", "link", "add", "uplink", "type", "veth", "peer", "name", "lan")
        run("ip", "link", "set", "lan", "netns", str(internet.pid))
        for words in ("addr add 198.51.100.1/24 dev uplink", "link set uplink up", "route add default via 198.51.100.2",
                      # A second address of the host's, which its way out could lead back to.
                      "addr add 203.0.113.99/32 dev lo"):
            run("ip", *words.split())
        for words in ("link set lo up", "addr add 198.51.100.2/24 dev lan", "link set lan up",
                      "addr add 203.0.113.7/32 dev lo", "addr add 10.20.30.40/32 dev lo",
                      "addr add 169.254.169.254/32 dev lo"):
            run(*cls.there, "ip", *words.split())
        for where, address, port, name in (
                (cls.there, "0.0.0.0", 80, "outside"), ([], "127.0.0.1", 6667, "irc"), ([], "0.0.0.0", 7777, "secret")):
            cls.processes.append(subprocess.Popen([*where, sys.executable, "-c", SERVER, address, str(port), name],
                                                  text=True))
        cls.processes.append(subprocess.Popen([*cls.there, sys.executable, "-c", NAME_SERVER], text=True))
        for port in (6667, 7777):
            if not wait_until(lambda: said("127.0.0.1", port)):
                raise RuntimeError(f"no server on port {port}")
        config = cls.home / "config.json"
        config.write_text(json.dumps({**json.loads(config.read_text()), "network": {"resolver": "203.0.113.7"}}))

    @classmethod
    def tearDownClass(cls) -> None:
        cls.fireclaw("network", "down")
        for process in cls.processes:
            process.kill()
            process.wait()
        cls.folder.cleanup()

    @classmethod
    def words(cls, *words: str) -> list[str]:
        engine = os.environ.get("FIRECLAW_TEST_ENGINE")
        return [*ordinary_user.words(), FIRECLAW, "--home", str(cls.home), *(["--engine", engine] if engine else []), *words]

    @classmethod
    def fireclaw(cls, *words: str) -> "subprocess.CompletedProcess[str]":
        environment = {name: value for name, value in os.environ.items() if name != "FIRECLAW_NET"}
        return subprocess.run(cls.words(*words), capture_output=True, text=True, timeout=LIMIT_SECONDS,
                              stdin=subprocess.DEVNULL, env=environment, cwd="/")

    def started(self, *words: str) -> "subprocess.Popen[str]":
        """A machine that has said "up"."""
        machine = subprocess.Popen(self.words("run", "--net", "nat", *words), stdout=subprocess.PIPE, text=True,
                                   stdin=subprocess.DEVNULL, cwd="/")
        self.addCleanup(machine.wait)
        self.addCleanup(machine.kill)
        assert machine.stdout is not None
        self.addCleanup(machine.stdout.close)
        self.assertEqual(machine.stdout.readline(), "up\n")
        return machine

    def reached(self, options: list[str], *destinations: str) -> dict[str, str]:
        """What a machine hears from each destination; "nothing" where it hears nothing."""
        lines = [f"echo {name} $(nc -w 3 {name.replace(':', ' ')} </dev/null 2>/dev/null || echo nothing)"
                 for name in destinations]
        result = self.fireclaw("run", *options, "; ".join(lines))
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stderr, "")
        return {line.split()[0]: line.split()[1] for line in result.stdout.splitlines()}

    def holder(self) -> int:
        return int(json.loads((self.home / "network-anchor.json").read_text())["holder"]["pid"])

    def test_a_machine_reaches_what_root_s_would_and_nothing_else(self) -> None:
        everything = ["203.0.113.7:80", "10.20.30.40:80", "169.254.169.254:80", "172.16.0.1:6667", "172.16.0.1:7777",
                      "198.51.100.1:7777", "203.0.113.99:7777", "198.51.100.2:80"]
        nothing = dict.fromkeys(everything, "nothing")
        self.assertEqual(self.reached([], *everything),
                         {**nothing, "203.0.113.7:80": "outside", "198.51.100.2:80": "outside"})
        self.assertEqual(self.reached(["--services", "--egress", "none"], *everything),
                         {**nothing, "172.16.0.1:6667": "irc"})
        self.assertEqual(self.reached(["--allow", "10.20.30.40:80"], *everything), {**nothing, "10.20.30.40:80": "outside"})

    def test_an_allowed_name_is_opened_as_it_is_answered(self) -> None:
        names = ["203.0.113.7:80", "other.example:80", "www.allowed.example:80"]
        self.assertEqual(self.reached(["--allow", "*.allowed.example:80"], *names),
                         {**dict.fromkeys(names, "nothing"), names[2]: "outside"})

    def test_what_a_machine_reaches_is_changed_while_it_runs_and_what_it_was_refused_is_written_down(self) -> None:
        def ok(*words: str) -> str:
            done = self.fireclaw(*words)
            self.assertEqual(done.returncode, 0, done.stderr)
            return done.stdout

        def box_hears(place: str) -> str:
            return ok("vm", "exec", "box", f"nc -w 3 {place} 80 </dev/null 2>/dev/null || echo nothing").split()[0]

        ok("vm", "create", "--net", "nat", "--egress", "none", "box")
        self.addCleanup(self.fireclaw, "vm", "remove", "--force", "box")
        places = {"203.0.113.7": "203.0.113.7:80", "www.allowed.example": "*.allowed.example:80"}
        for place, destination in places.items():
            self.assertEqual(box_hears(place), "nothing")
            self.assertEqual(ok("network", "allow", "box", destination), f"box: {destination}\n")
            self.assertEqual(box_hears(place), "outside")
            self.assertEqual(ok("network", "deny", "box", destination), "box: nothing is on its list\n")
            self.assertEqual(box_hears(place), "nothing")
        def refused() -> set[tuple[str, str]]:
            return {(line["by"], line["address"] or line["name"]) for line in json.loads(ok("network", "log", "box", "--json"))}
        both = {("firewall", "203.0.113.7"), ("names", "www.allowed.example")}
        self.assertTrue(wait_until(lambda: both <= refused()), refused())

    def test_web_servers_are_reached_by_name_through_the_proxy(self) -> None:
        ask = "printf 'GET http://{}/ HTTP/1.0\\r\\n\\r\\n' | nc -w 5 172.16.0.1 10080 | head -n 1"
        lines = "; ".join(ask.format(name) for name in ("www.allowed.example", "other.example", "203.0.113.7"))
        said = self.fireclaw("run", "--allow-http", "*.allowed.example", lines)
        self.assertEqual(said.stdout.replace("\r", ""),
                         "outside 198.51.100.1\nHTTP/1.1 403 Forbidden\nHTTP/1.1 403 Forbidden\n", said.stderr)
        self.assertEqual(self.reached(["--allow-http", "*.allowed.example"], "203.0.113.7:80"), {"203.0.113.7:80": "nothing"})

    def test_a_published_port_is_on_this_host_s_loopback_and_nowhere_else(self) -> None:
        serve = "printf '#!/bin/sh\\necho hello\\n' > /tmp/h; chmod +x /tmp/h; nc -ll -p 80 -e /tmp/h & "
        machine = self.started("-p", "8080:80", "-p", "198.51.100.1:8081:80", serve + "sleep 1; echo up; wait")
        self.assertEqual(said("127.0.0.1", 8080), "hello")
        self.assertEqual(said("::1", 8080, socket.AF_INET6), "hello")
        outside = f"nc -w 3 198.51.100.1 8080 </dev/null; busybox nc -w 3 198.51.100.1 8081 </dev/null"
        heard = subprocess.run([*self.there, "sh", "-c", "busybox " + outside], capture_output=True, text=True).stdout
        self.assertEqual(heard, "hello\n")
        taken = self.fireclaw("run", "--net", "nat", "-p", "8080:80", "true")
        self.assertEqual(taken.returncode, 125)
        self.assertIn("port 8080", taken.stderr)
        machine.kill()
        machine.wait()
        self.assertTrue(wait_until(lambda: said("127.0.0.1", 8080) is None))

    def test_machines_lose_their_network_with_its_keeper_and_new_ones_have_one(self) -> None:
        machine = self.started("echo up; read line < /dev/zero")
        first = self.holder()
        os.kill(first, signal.SIGKILL)
        self.assertEqual(self.reached([], "203.0.113.7:80"), {"203.0.113.7:80": "outside"})
        self.assertNotEqual(self.holder(), first)
        self.assertIsNone(machine.poll())
        shown = json.loads(self.fireclaw("network", "show", "--json").stdout)
        self.assertEqual((shown["usable"], shown["up"], len(shown["leases"])), (True, True, 1))
        machine.kill()
        machine.wait()

    def test_nothing_is_left_after_down(self) -> None:
        self.reached([], "203.0.113.7:80")
        holder = self.holder()
        down = self.fireclaw("network", "down")
        self.assertEqual(down.returncode, 0, down.stderr)
        self.assertTrue(wait_until(lambda: not Path(f"/proc/{holder}").exists()))
        mine = os.readlink("/proc/self/ns/net")
        def helpers() -> list[str]:
            found = []
            for process in Path("/proc").iterdir():
                try:
                    words = (process / "cmdline").read_text().split("\0")
                    if process.name.isdigit() and os.readlink(process / "ns/net") == mine:
                        found += [word for word in words[:1] if Path(word).name in ("fireclaw-netd", "pasta", "slirp4netns")]
                except OSError:
                    continue
            return found
        self.assertTrue(wait_until(lambda: helpers() == []), helpers())
        self.assertEqual(run("ip", "-o", "link").count("fcbr0"), 0)


if __name__ == "__main__":
    if REASON is None and INSIDE not in os.environ:
        os.environ[INSIDE] = "1"
        os.execvp("unshare", ["unshare", "--net", "--mount", sys.executable, *sys.argv])
    unittest.main()

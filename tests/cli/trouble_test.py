"""What people are told when something is not as it has to be: by doctor, by commands. No machine is started.

All of it runs in a network namespace and with mounts of its own, where that is possible."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import unittest
from pathlib import Path
from typing import Any, Dict, Iterator, Optional, Sequence

FIRECLAW = os.environ["FIRECLAW_PROGRAM"]
LIMIT_SECONDS = 60
IRC_PORT = 6667
LLM_PORT = 11434
# Of this host, beside loopback: a server that listens there will listen on the agents' bridge.
ADDRESS = "10.99.0.1"


class Models(http.server.BaseHTTPRequestHandler):
    """An Ollama with one model, as far as it is asked here."""

    def do_GET(self) -> None:
        text = json.dumps({"models": [{"name": "phi4:latest"}]}).encode()
        self.send_response(200 if self.path == "/api/tags" else 404)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Trouble(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="fireclaw-trouble-test-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.home = self.folder / "home"
        self.home.mkdir(mode=0o700)
        self.ok("agent", "list")

    def fireclaw(self, *words: str, env: Optional[Dict[str, str]] = None,
                 inside: Sequence[str] = ()) -> "subprocess.CompletedProcess[str]":
        """`inside`: a command that runs it somewhere else."""
        return subprocess.run([*inside, FIRECLAW, "--home", str(self.home), *words], capture_output=True, text=True,
                              timeout=LIMIT_SECONDS, stdin=subprocess.DEVNULL, env={**os.environ, **(env or {})})

    def ok(self, *words: str, inside: Sequence[str] = ()) -> str:
        result = self.fireclaw(*words, inside=inside)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def refused(self, *words: str, env: Optional[Dict[str, str]] = None) -> str:
        result = self.fireclaw(*words, env=env)
        self.assertEqual((result.returncode, result.stdout), (125, ""), result.stderr)
        self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
        return result.stderr

    def doctor(self) -> Dict[str, Dict[str, str]]:
        return {check["name"]: check for check in json.loads(self.fireclaw("doctor", "--json").stdout)["checks"]}

    def test_an_option_in_the_wrong_place_is_told_the_right_one(self) -> None:
        self.assertIn("it comes after the command: fireclaw run --json", self.fireclaw("--json", "run", "true").stderr)
        self.assertIn("it comes after the command: fireclaw run --cpus", self.refused("--cpus", "2", "run", "true"))
        self.assertIn("it is an option of: fireclaw snapshot create", self.refused("snapshot", "list", "--of", "dev"))
        self.assertIn("there is no option '--nonsense'", self.refused("--nonsense", "run", "true"))

    def test_the_default_network_holds_against_what_wants_another(self) -> None:
        for words in (("-p", "8080:80"), ("--allow", "192.0.2.1"), ("--egress", "none")):
            text = self.refused("vm", "create", *words, "box", env={"FIRECLAW_NET": "none"})
            self.assertIn("go with --net nat, not none (FIRECLAW_NET)", text)

    def test_a_folder_among_the_images_that_is_none_is_found_and_its_remedy_works(self) -> None:
        (self.home / "images" / "broken").mkdir(parents=True)
        check = self.doctor()["image broken"]
        self.assertEqual((check["status"], check["remedy"]), ("warning", "fireclaw image remove broken"))
        self.ok(*check["remedy"].split()[1:])
        self.assertNotIn("image broken", self.doctor())

    def test_a_home_folder_that_cannot_be_written_to_is_said_to_be_so(self) -> None:
        self.assertEqual(self.doctor()["home"]["status"], "ok")
        subprocess.run(["mount", "--bind", self.home, self.home], check=True)
        self.addCleanup(subprocess.run, ["umount", self.home], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", self.home], check=True)
        check = self.doctor()["home"]
        self.assertEqual(check["status"], "missing")
        self.assertIn("cannot be written to", check["detail"])
        self.assertIn("mount it for writing", check["remedy"])

    def test_where_kvm_works_the_way_to_a_firecracker_is_named(self) -> None:
        if not os.access("/dev/kvm", os.R_OK | os.W_OK):
            self.skipTest("nobody can use /dev/kvm here")

        def seen(engine: str, works: bool) -> Dict[str, Any]:
            return {"engine": engine, "binary": "/usr/bin/true", "version": "7.2.22", "cpu_model": "host", "kernel_release": "6.1",
                    "kernel_sha256": "0" * 64, "works": works, "reason": "" if works else "no", "boot_time_ms": 1,
                    "binary_bytes": 1, "binary_mtime_ns": 1}

        def named(*engines: Dict[str, Any]) -> Optional[str]:
            config = {"schema": 1, "set_up_by": "0.1.0", "engines": list(engines)}
            (self.home / "config.json").write_text(json.dumps(config))
            check = self.doctor().get("firecracker")
            return check and check["remedy"]

        remedy = named(seen("qemu-kvm", True))
        self.assertIsNotNone(remedy)
        self.assertIn("fireclaw setup --firecracker URL --firecracker-sha256 HEX", str(remedy))
        self.assertIsNone(named(seen("qemu-kvm", False)))
        self.assertIsNone(named(seen("qemu-kvm", True), seen("firecracker", False)))

    @contextlib.contextmanager
    def irc(self, address: str) -> Iterator[None]:
        with socket.create_server((address, IRC_PORT)):
            yield

    @contextlib.contextmanager
    def llm(self, address: str) -> Iterator[None]:
        server = http.server.ThreadingHTTPServer((address, LLM_PORT), Models)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def make_agent(self, model: str) -> None:
        """The record of one that is stopped."""
        (self.home / "templates").mkdir(exist_ok=True)
        (self.home / "agents").mkdir(exist_ok=True)
        (self.home / "templates" / "tern.json").write_text(json.dumps({"nick": "tern", "model": "phi4", "persona": "A bird."}))
        record = {"schema": 1, "name": "ada", "template": "tern", "model": model, "detached": True, "network": "nat",
                  "phase": "stopped", "run": "", "started_ms": 5, "last_error": ""}
        (self.home / "agents" / "ada.json").write_text(json.dumps(record))

    def test_an_agent_is_saved_by_a_command_of_its_own(self) -> None:
        self.make_agent("phi4")
        self.assertIn("'ada' is an agent; save it with: fireclaw agent snapshot ada good",
                      self.refused("snapshot", "create", "good", "--net", "none", "--of", "ada"))

    def test_what_agents_need_is_tried_from_where_their_machines_are(self) -> None:
        (self.home / "images" / "debian-agent").mkdir(parents=True)
        self.make_agent("phi4")
        checks = self.doctor()
        self.assertIn("no IRC server answers agents", checks["agents irc"]["detail"])
        self.assertIn("fireclaw irc install", checks["agents irc"]["remedy"])
        self.assertIn("no LLM server answers", checks["agents llm"]["detail"])
        with self.irc("127.0.0.1"), self.llm("127.0.0.1"):
            checks = self.doctor()
            self.assertNotIn("agents irc", checks)
            self.assertIn("listens on loopback only, where no machine reaches it", checks["agents llm"]["detail"])
            self.assertIn("OLLAMA_HOST", checks["agents llm"]["remedy"])
        with self.irc("127.0.0.1"), self.llm("0.0.0.0"):
            self.assertEqual(self.doctor()["agents outside"]["status"], "ok")
            self.make_agent("qwen2.5:7b")
            self.assertEqual(self.doctor()["agents model"]["remedy"], "ollama pull qwen2.5:7b")

    def test_the_first_network_says_once_what_it_changes_and_the_end_of_it_restores_that(self) -> None:
        forwarding = Path("/proc/sys/net/ipv4/ip_forward")
        before = forwarding.read_text()
        said = self.fireclaw("network", "up").stderr
        self.addCleanup(self.fireclaw, "network", "down")
        self.assertIn("this host now has bridge 'fcbr0'", said)
        self.assertIn("fireclaw network down removes them", said)
        self.assertEqual(forwarding.read_text(), "1\n")
        self.ok("network", "down")
        self.assertEqual(forwarding.read_text(), before)
        self.assertFalse(Path("/sys/class/net/fcbr0").exists())
        self.assertEqual(self.fireclaw("network", "up").stderr, "")

    def another_network(self) -> Sequence[str]:
        """A command that runs others in one more network namespace."""
        keeper = subprocess.Popen(["unshare", "--net", "sh", "-c", "ip link set lo up && echo ready && exec sleep 1000"],
                                  stdout=subprocess.PIPE)
        self.addCleanup(keeper.communicate)
        self.addCleanup(keeper.kill)
        assert keeper.stdout is not None
        self.assertEqual(keeper.stdout.readline(), b"ready\n")
        return ("nsenter", f"--net=/proc/{keeper.pid}/ns/net")

    @staticmethod
    def network(inside: Sequence[str]) -> str:
        """What the namespace has, as others see it."""
        look = "ip -o link && ip -o address && nft list ruleset && cat /proc/sys/net/ipv4/ip_forward"
        return subprocess.run([*inside, "sh", "-c", look], check=True, capture_output=True, text=True).stdout

    def test_a_home_that_is_used_in_two_network_namespaces_leaves_each_as_it_was(self) -> None:
        here: Sequence[str] = ()
        there = self.another_network()
        before = {place: self.network(place) for place in (here, there)}
        for place in (here, there):
            self.ok("network", "up", inside=place)
            self.addCleanup(self.fireclaw, "network", "down", inside=place)
            self.assertIn("fcbr0", self.network(place))
        # It serves where the network was brought up last.
        gateway = json.loads(self.ok("gateway", "status", "--json"))["pid"]
        self.assertEqual(os.readlink(f"/proc/{gateway}/ns/net"), os.readlink(there[1].partition("=")[2]))
        self.assertEqual(self.ok("gateway", "status").splitlines()[0], f"serves DNS, and neither LLMs nor IRC (process {gateway})")
        self.ok("network", "down")
        self.assertEqual(self.network(here), before[here])
        self.assertIn("fcbr0", self.network(there))
        self.assertEqual(json.loads(self.ok("gateway", "status", "--json"))["pid"], gateway)
        self.ok("network", "down", inside=there)
        self.assertEqual(self.network(there), before[there])
        self.assertFalse(json.loads(self.ok("gateway", "status", "--json"))["running"])

    def test_a_port_that_another_irc_server_has_is_not_made_a_service_of(self) -> None:
        if not any(Path("/usr/sbin", name).exists() for name in ("inspircd", "ngircd")):
            self.skipTest("no IRC server is installed")
        words = ("irc", "install", "--user", "--no-enable", "--unit-folder", str(self.folder / "units"))
        with self.irc("0.0.0.0"):
            text = self.refused(*words)
        self.assertIn("another program has port 6667 of 127.0.0.1", text)
        self.assertIn("systemctl disable --now", text)
        self.assertFalse((self.folder / "units").exists())
        self.ok(*words)


if __name__ == "__main__":
    if "FIRECLAW_TROUBLE_INSIDE" not in os.environ:
        inside = ["unshare", "--net", "--mount", "--propagation", "private"]
        if subprocess.run([*inside, "true"], capture_output=True).returncode != 0:
            print("skipped: no namespaces of its own can be had here")
            raise SystemExit(77)
        setup = f"ip link set lo up && ip addr add {ADDRESS}/32 dev lo && exec \"$@\""
        os.environ["FIRECLAW_TROUBLE_INSIDE"] = "1"
        os.execvp("unshare", [*inside, "sh", "-c", setup, "sh", sys.executable, *sys.argv])
    unittest.main()

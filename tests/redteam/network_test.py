"""A guest that wants more of the network than it was given. In namespaces of the test's own: a host, and a world."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path
from typing import Optional

if os.environ.get("FIRECLAW_REDTEAM_INSIDE") is None:
    own = ["unshare", "--user", "--map-root-user", "--net", "--mount"]
    if subprocess.run([*own, "true"], capture_output=True).returncode != 0:
        print("no user namespaces here")
        sys.exit(77)
    os.environ["FIRECLAW_REDTEAM_INSIDE"] = "1"
    os.execvp("unshare", [*own, sys.executable, *sys.argv])

from redteam import FIRECLAW, HOME, LIMIT_SECONDS  # noqa: E402

del os.environ["FIRECLAW_NET"]

PORT = 445
PUBLIC = "203.0.113.7"
# Answers with the address that it was reached at, or takes all that comes, or sends without end.
WORLD = """
import socket, sys, threading
def serve(port, answer):
    listener = socket.create_server(("0.0.0.0", port))
    def loop():
        while True:
            peer = listener.accept()[0]
            threading.Thread(target=answer, args=(peer,), daemon=True).start()
    threading.Thread(target=loop, daemon=True).start()
def say(peer):
    with peer: peer.sendall(b"reached " + peer.getsockname()[0].encode() + b"\\n")
def take(peer):
    with peer:
        while peer.recv(65536): pass
def give(peer):
    with peer:
        try:
            while True: peer.sendall(bytes(65536))
        except OSError: pass
for port, answer in ((int(sys.argv[1]), say), (4001, take), (4002, give)): serve(port, answer)
print("ready", flush=True)
sys.stdin.read()
"""
NOT_PUBLIC = {"private": "192.168.77.1", "other": "10.1.2.3", "loopback": "127.0.0.1", "link-local": "169.254.1.1",
              "metadata": "169.254.169.254", "azure": "168.63.129.16", "oracle": "192.0.0.192", "cgnat": "100.64.0.1",
              "bench": "198.18.0.1", "zero": "0.0.0.0", "mapped": "::ffff:192.168.77.1", "multicast": "224.0.0.1",
              "reserved": "240.0.0.1", "broadcast": "255.255.255.255"}


def ip(*words: str, pid: Optional[int] = None) -> None:
    inside = [] if pid is None else ["nsenter", "--target", str(pid), "--net"]
    subprocess.run([*inside, "ip", *words], check=True)


def lead_to(there: int) -> None:
    """Makes the network namespace of that process what is beyond this one."""
    ip("link", "set", "lo", "up")
    ip("link", "add", "up0", "type", "veth", "peer", "name", "world0")
    ip("link", "set", "world0", "netns", str(there))
    ip("address", "add", "198.51.100.2/24", "dev", "up0")
    ip("link", "set", "up0", "up")
    ip("route", "add", "default", "via", "198.51.100.1")
    ip("link", "set", "lo", "up", pid=there)
    ip("address", "add", "198.51.100.1/24", "dev", "world0", pid=there)
    ip("link", "set", "world0", "up", pid=there)


def fireclaw(*words: str, before: tuple[str, ...] = ()) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run([*before, FIRECLAW, "--home", HOME, *words], stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=LIMIT_SECONDS)


def ask(address: str, port: int = PORT) -> str:
    return f"nc -w 3 {address} {port} </dev/null 2>/dev/null || echo nothing"


class NetworkTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.world = subprocess.Popen(["unshare", "--net", sys.executable, "-c", WORLD, str(PORT)],
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert cls.world.stdout is not None and cls.world.stdout.readline() == b"ready\n"
        there = cls.world.pid
        lead_to(there)
        for address in (PUBLIC, *NOT_PUBLIC.values()):
            if not address.startswith(("127.", "0.", "::", "2")) or address == PUBLIC:
                ip("address", "add", f"{address}/32", "dev", "lo", pid=there)
        cls.hosts = tempfile.NamedTemporaryFile("w", suffix=".hosts")
        cls.hosts.write("127.0.0.1 localhost\n")
        cls.hosts.write(f"{PUBLIC} public.example\n")
        for name, address in NOT_PUBLIC.items():
            cls.hosts.write(f"{address} {name}.example\n")
        cls.hosts.flush()
        subprocess.run(["mount", "--bind", cls.hosts.name, "/etc/hosts"], check=True)

    @classmethod
    def tearDownClass(cls) -> None:
        fireclaw("network", "down")
        subprocess.run(["umount", "/etc/hosts"], check=True)
        cls.hosts.close()
        assert cls.world.stdin is not None and cls.world.stdout is not None
        cls.world.stdin.close()
        cls.world.stdout.close()
        cls.world.wait(LIMIT_SECONDS)

    def out(self, *words: str) -> str:
        said = fireclaw("run", *words)
        self.assertEqual(said.returncode, 0, said.stderr)
        return said.stdout.decode().strip()

    def test_a_name_opens_public_addresses_alone(self) -> None:
        self.assertEqual(self.out("--allow", f"public.example:{PORT}", ask("public.example")), f"reached {PUBLIC}")
        for name, address in NOT_PUBLIC.items():
            said = fireclaw("run", "--allow", f"{name}.example:{PORT}", "true")
            self.assertEqual(said.returncode, 125, name)
            self.assertIn(b"a name opens public addresses only", said.stderr, name)

    def test_an_address_in_a_form_that_few_know_is_not_taken_for_one(self) -> None:
        for text in ("2130706433", "0x7f000001", "127.1", "0300.0250.0115.1", "192.168.19713", "::ffff:192.168.77.1", "[::1]",
                     "localhost"):
            said = fireclaw("run", "--allow", f"{text}:{PORT}", "true")
            self.assertEqual(said.returncode, 125, text)

    def test_metadata_services_are_not_reached_even_if_they_are_named(self) -> None:
        for name in ("metadata", "azure", "oracle", "link-local"):
            address = NOT_PUBLIC[name]
            self.assertEqual(self.out("--allow", address, ask(address)), "nothing", address)
        self.assertEqual(self.out("--allow", "0.0.0.0/0", ask(NOT_PUBLIC["metadata"])), "nothing")
        # A private one is, if it is named itself.
        self.assertEqual(self.out("--allow", "192.168.77.1", ask("192.168.77.1")), "reached 192.168.77.1")
        self.assertEqual(self.out(ask("192.168.77.1")), "nothing")

    def test_a_machine_that_is_not_an_agents_reaches_no_service_but_names(self) -> None:
        with subprocess.Popen([sys.executable, "-c", WORLD, "11434"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as llm:
            assert llm.stdin is not None and llm.stdout is not None
            self.assertEqual(llm.stdout.readline(), b"ready\n")
            self.assertEqual(self.out(ask("172.16.0.1", 11434)), "nothing")
            self.assertEqual(self.out(ask("198.51.100.2", 11434)), "nothing")
            self.assertEqual(self.out("--services", ask("172.16.0.1", 11434)), "reached 172.16.0.1")
            llm.stdin.close()

    def test_without_a_network_of_ones_own_the_hosts_loopback_is_not_reached(self) -> None:
        with subprocess.Popen([sys.executable, "-c", WORLD, "8099"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as secret:
            assert secret.stdin is not None and secret.stdout is not None
            self.assertEqual(secret.stdout.readline(), b"ready\n")
            less = ("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin")
            said = fireclaw("run", ask("10.0.2.2", 8099), before=less)
            self.assertEqual(said.stdout.strip(), b"nothing", said.stderr)
            secret.stdin.close()

    def test_a_published_port_is_this_hosts_alone(self) -> None:
        serve = "printf '#!/bin/sh\\necho from-the-guest\\n' >/tmp/h; chmod +x /tmp/h; echo up; nc -ll -p 80 -e /tmp/h"
        words = [FIRECLAW, "--home", HOME, "run", "-t", "60", "-p", "8080:80", serve]
        with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
            assert run.stdout is not None
            self.assertEqual(run.stdout.readline(), b"up\n")
            reach = ("import socket, sys\ntry:\n  s = socket.create_connection((sys.argv[1], 8080), 5)\n"
                     "  print(s.recv(99).decode().strip() or 'nothing')\nexcept OSError: print('nothing')")

            def from_here(address: str, *before: str) -> str:
                # The guest's server may not listen yet.
                for _ in range(20):
                    said = subprocess.run([*before, sys.executable, "-c", reach, address], capture_output=True, text=True)
                    if before or said.stdout.strip() != "nothing":
                        break
                    time.sleep(0.2)
                return said.stdout.strip()

            self.assertEqual(from_here("127.0.0.1"), "from-the-guest")
            self.assertEqual(from_here("localhost"), "from-the-guest")
            self.assertEqual(from_here("198.51.100.2", "nsenter", "--target", str(self.world.pid), "--net"), "nothing")
            run.terminate()

    def test_a_machine_sends_and_receives_no_faster_than_it_may(self) -> None:
        send = "dd if=/dev/zero bs=64k count=96 2>/dev/null | nc -w 20 " + PUBLIC + " 4001"
        receive = "nc -w 20 " + PUBLIC + " 4002 </dev/null | dd of=/dev/null bs=64k count=96 iflag=fullblock 2>/dev/null"
        for line in (send, receive):
            timed = f"a=$(cut -d' ' -f1 /proc/uptime); {line}; b=$(cut -d' ' -f1 /proc/uptime); echo $a $b"
            begin, end = (float(word) for word in self.out("-t", "90", "--net-rate", "1M", timed).split())
            # 6 MiB, of which the first passes at once.
            self.assertGreater(end - begin, 3.5, line)
            self.assertLess(end - begin, 40, line)


if __name__ == "__main__":
    unittest.main()

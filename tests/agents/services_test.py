"""An agent whose machine reaches the gateway's services and nothing else, seen from the network that it is in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List

import crew
from crew import HOME, Crew, eventually, ok, taps

GATEWAY = "172.16.0.1"
SERVICES = {("tcp", GATEWAY, 6667), ("tcp", GATEWAY, 11434), ("udp", GATEWAY, 53), ("arp", GATEWAY, 0)}
# A guest asks for routers by itself; the bridge takes nothing of IPv6 from it.
IPV6 = "ethertype 86dd"
# A host outside, and a port of the host that is not a service.
OUTSIDE, PORT = "198.51.100.7", 9999
ANSWER_SECONDS = 60.0

TRY = f"""
import socket
for kind, place in ((socket.SOCK_STREAM, ("{OUTSIDE}", 80)), (socket.SOCK_DGRAM, ("{OUTSIDE}", 53)),
                    (socket.SOCK_STREAM, ("{GATEWAY}", {PORT})), (socket.SOCK_DGRAM, ("255.255.255.255", 67))):
    with socket.socket(socket.AF_INET, kind) as one:
        one.settimeout(3)
        try:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            one.connect(place)
            one.send(b"out")
            print("sent", *place)
        except OSError:
            print("refused", *place)
try:
    print(socket.getaddrinfo("example.org", 80))
except OSError:
    print("unknown example.org")
"""


def in_the_network() -> List[str]:
    """What is put before a command that is to run where bridge and taps are."""
    if os.geteuid() == 0:
        return []
    anchor = json.loads(Path(HOME, "network-anchor.json").read_text())
    return ["nsenter", "--user", "--net", "--preserve-credentials", "--target", str(anchor["holder"]["pid"])]


class Watch:
    """packets.py, where the network is."""

    def __init__(self) -> None:
        script = Path(__file__).resolve().parent / "packets.py"
        self.process = subprocess.Popen([*in_the_network(), sys.executable, str(script), str(PORT)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.process.stdout.readline()

    def end(self) -> List[Dict[str, Any]]:
        """What was seen."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        seen = [json.loads(line) for line in self.process.stdout]
        self.process.stdout.close()
        self.process.wait(20)
        return seen


def sent_by(tap: str, seen: List[Dict[str, Any]]) -> "set[tuple[str, str, int]]":
    return {(packet["protocol"], packet["to"], packet["port"]) for packet in seen
            if packet.get("interface") == tap and not packet["leaves"]}


class Services(Crew):
    def watch(self) -> Watch:
        watch = Watch()
        self.addCleanup(lambda: watch.process.poll() is None and watch.end())
        return watch

    def tap(self) -> str:
        if os.geteuid() == 0:
            return taps()[0]
        shown = subprocess.run([*in_the_network(), "cat", "/proc/net/dev"], check=True, capture_output=True, text=True).stdout
        names = [line.split(":")[0].strip() for line in shown.splitlines()[2:]]
        return next(name for name in names if name.startswith("fc") and name != "fcbr0")

    def refused(self) -> "set[tuple[str, int]]":
        return {(one["address"], one["port"]) for one in json.loads(ok("network", "log", "worker", "--json"))}

    def test_no_packet_of_its_machine_reaches_anything_but_the_gateways_ports(self) -> None:
        ok("network", "up")
        # A way out that a firewall without rules would lead to.
        for words in (("link", "add", "world0", "type", "veth", "peer", "name", "world1"), ("link", "set", "world1", "up"),
                      ("addr", "add", "198.51.100.1/24", "dev", "world0"), ("link", "set", "world0", "up"),
                      ("neigh", "add", OUTSIDE, "lladdr", "02:00:00:00:00:07", "dev", "world0")):
            subprocess.run([*in_the_network(), "ip", *words], check=True)
        self.addCleanup(lambda: subprocess.run([*in_the_network(), "ip", "link", "delete", "world0"], check=True))

        watch = self.watch()
        alice = self.human()
        info = self.start("worker", "--net", "services")
        self.assertTrue(info["services_only"])
        self.assertIn("the gateway's services only", ok("agent", "status", "worker"))
        tap = self.tap()

        # It answers through its LLM, with a tool,
        self.llm.rules({"when": {"role": "user"}, "reply": {"calls": [{"name": "run_command", "arguments": {"command": "echo $((6*7))"}}]}},
                       {"when": {"role": "tool", "text": "42"}, "reply": {"content": "It is 42."}})
        alice.say("worker", "what is six times seven?")
        alice.hears("worker", "alice", "It is 42", ANSWER_SECONDS)
        # and with other settings, while it stays on IRC.
        self.llm.rules({"reply": {"content": "Now in brief."}})
        ok("agent", "reload", "worker", "--persona", "You are brief.")
        alice.hears("worker", "#agents", r"\[reloaded")
        alice.say("worker", "and now?")
        alice.hears("worker", "alice", "Now in brief", ANSWER_SECONDS)
        self.assertIn("You are brief.", self.system_prompt(self.llm.requests[-1]))
        ok("agent", "restart", "worker")
        self.assertTrue(json.loads(ok("agent", "status", "worker", "--json"))["services_only"])
        eventually(lambda: json.loads(ok("agent", "status", "worker", "--json"))["online"], ANSWER_SECONDS)
        seen = watch.end()
        in_its_life = sent_by(tap, seen)
        self.assertEqual(in_its_life - SERVICES - {(IPV6, "", 0)}, set())
        self.assertEqual([packet for packet in seen if packet.get("interface") == "fcbr0" and packet["protocol"] == IPV6 and
                          not packet["leaves"]], [])
        self.assertIn(("tcp", GATEWAY, 6667), in_its_life)
        self.assertIn(("tcp", GATEWAY, 11434), in_its_life)

        # What it sends to others gets no further than its tap,
        watch = self.watch()
        tap = self.tap()
        told = ok("agent", "exec", "worker", "--", "python3", "-c", TRY)
        seen = watch.end()
        self.assertIn("unknown example.org", told)
        self.assertIn(f"refused {OUTSIDE} 80", told)
        self.assertIn(f"refused {GATEWAY} {PORT}", told)
        self.assertIn(("tcp", OUTSIDE, 80), sent_by(tap, seen))
        self.assertIn(("udp", OUTSIDE, 53), sent_by(tap, seen))
        self.assertIn(("tcp", GATEWAY, PORT), sent_by(tap, seen))
        self.assertEqual([packet for packet in seen if packet.get("leaves") and packet["to"] in (OUTSIDE, "255.255.255.255")], [])
        self.assertNotIn({"connected": True}, seen)
        eventually(lambda: {(OUTSIDE, 80), (OUTSIDE, 53), (GATEWAY, PORT)} <= self.refused())

        # where what is allowed goes on to: it would have been seen.
        ok("network", "allow", "worker", OUTSIDE)
        watch = self.watch()
        ok("agent", "exec", "worker", "--", "python3", "-c", TRY)
        out = {(packet["protocol"], packet["port"]) for packet in watch.end() if packet.get("leaves") and packet["to"] == OUTSIDE}
        self.assertEqual(out, {("tcp", 80), ("udp", 53)})


if __name__ == "__main__":
    crew.main()

"""An agent in a real machine whose LLM and whose IRC server are behind the gateway."""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import Any, Dict

import crew
import ngircd
from crew import HOME, Crew, eventually, is_gone, ok
from scripted_llm import ScriptedLlm

ANSWER_SECONDS = 60.0
READING_SECONDS = 1.0
KEY = "sk-hunter2-hunter2"
PASSWORD = "open-sesame"

PROBE = """
import json, sys, urllib.request, urllib.error
for method, path in (("POST", "/api/pull"), ("DELETE", "/api/delete"), ("GET", "/api/tags"), ("POST", "/api/chat?x")):
    request = urllib.request.Request(sys.argv[1] + path, data=b"{}" if method == "POST" else None, method=method)
    try:
        print(path, urllib.request.urlopen(request, timeout=20).status)
    except urllib.error.HTTPError as error:
        print(path, error.code)
"""

REACH = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=20)
    print("reached")
except ConnectionRefusedError:
    print("refused")
"""


class BehindTheGateway(Crew):
    """LLM and IRC are on the host's loopback, where no machine reaches them."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = tempfile.mkdtemp(prefix="fireclaw-crew-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.llm = ScriptedLlm([{"reply": {"content": "Hello!"}}])
        cls.addClassCleanup(cls.llm.close)
        cls.irc = ngircd.Ngircd(cls.folder, port=6667, password=PASSWORD)
        cls.addClassCleanup(cls.irc.stop)
        config = Path(HOME, "config.json")
        cls.addClassCleanup(config.write_text, config.read_text())
        cls.addClassCleanup(ok, "network", "down")
        cls.addClassCleanup(Path(HOME, "secrets.json").unlink, missing_ok=True)
        cls.configure()
        ok("secret", "set", "local", stdin=KEY.encode())
        ok("secret", "set", "server", stdin=PASSWORD.encode())

    @classmethod
    def configure(cls, **limits: int) -> None:
        path = Path(HOME, "config.json")
        config = json.loads(path.read_text())
        config["gateway"] = {"llm": {"upstreams": [{"name": "local", "url": cls.llm.url, "key": "local"}],
                                     "limits": limits},
                             "irc": {"upstreams": [{"name": "chat", "host": "localhost", "password_secret": "server"}]}}
        beside = path.with_suffix(".new")
        beside.write_text(json.dumps(config))
        beside.rename(path)

    def gateway(self) -> Dict[str, Any]:
        info: Dict[str, Any] = json.loads(ok("gateway", "status", "--json"))
        return info

    def test_an_agent_reaches_its_llm_and_irc_through_the_gateway_and_survives_its_end(self) -> None:
        alice = self.human(password=PASSWORD)
        self.start("quick")
        alice.say("quick", "hi")
        self.assertEqual(alice.hears("quick", "alice", "", ANSWER_SECONDS), "Hello!")

        # Key and password are added on the way, and are nowhere in the machine.
        headers = {name.lower(): value for name, value in self.llm.requests[-1]["headers"].items()}
        self.assertEqual(headers["authorization"], f"Bearer {KEY}")
        told = ok("agent", "exec", "quick", "cat /run/fireclaw/agent.json; cat /proc/[0-9]*/environ 2>/dev/null; true")
        self.assertIn('"http://172.16.0.1:11434"', told)
        self.assertNotIn(KEY, told)
        self.assertNotIn(PASSWORD, told)
        server = json.JSONDecoder().raw_decode(told)[0]["server"]
        self.assertEqual((server["host"], server["port"]), ("172.16.0.1", 6667))
        gateway = self.gateway()
        self.assertEqual(gateway["address"], "172.16.0.1:11434")
        self.assertEqual(gateway["irc_address"], "172.16.0.1:6667")
        self.assertEqual(gateway["irc_servers"][0],
                         {"name": "chat", "server": "localhost:6667", "connections": 1, "errors": 0, "open": 1, "last_error": ""})
        use = gateway["agents"][0]
        self.assertEqual((use["name"], use["requests"], use["refused"], use["errors"]), ("quick", 1, 0, 0))
        self.assertGreater(use["completion_tokens"], 0)

        # It is all that a machine gets of the LLM server.
        asked = len(self.llm.requests)
        self.assertEqual(ok("agent", "exec", "quick", "--", "python3", "-c", PROBE, f"http://{gateway['address']}").split("\n")[:4],
                         ["/api/pull 403", "/api/delete 403", "/api/tags 200", "/api/chat?x 403"])
        self.assertEqual([request["body"] for request in self.llm.requests[asked:] if request["body"]], [])
        self.assertEqual(self.gateway()["agents"][0]["refused"], 3)

        # Killed in the middle of an answer: the bot comes back to IRC, and asks the next gateway.
        self.llm.rules({"reply": {"content": "this takes a very long time to say", "gap": 2.0}})
        before = len(self.llm.requests)
        alice.say("quick", "and a long story?")
        self.llm.wait_for_requests(before + 1, ANSWER_SECONDS)
        os.kill(gateway["pid"], signal.SIGKILL)
        eventually(lambda: is_gone(gateway["pid"]))
        alice.expect(r"quick!\S+ QUIT", ANSWER_SECONDS)
        self.assertFalse(self.gateway()["running"])
        ok("network", "up")
        after = self.gateway()
        self.assertTrue(after["running"])
        self.assertNotEqual(after["pid"], gateway["pid"])
        alice.expect(r"quick!\S+ JOIN", ANSWER_SECONDS)
        time.sleep(READING_SECONDS)
        self.llm.rules({"reply": {"content": "Fine again."}})
        alice.say("quick", "and now?")
        alice.hears("quick", "alice", "Fine again", ANSWER_SECONDS)

        # Limits are read again while it runs; what was used before it was killed still counts once it was written down.
        self.configure(requests_per_minute=1)
        time.sleep(READING_SECONDS)
        alice.say("quick", "and tomorrow?")
        self.assertIn("requests a minute", alice.hears("quick", "alice", "", ANSWER_SECONDS))
        self.configure()

        # An LLM server that is not there.
        time.sleep(READING_SECONDS)
        path = Path(HOME, "config.json")
        beside = path.with_suffix(".new")
        beside.write_text(path.read_text().replace(self.llm.url, "http://127.0.0.1:1"))
        beside.rename(path)
        alice.say("quick", "still there?")
        self.assertIn("cannot reach the LLM server 'local'", alice.hears("quick", "alice", "", ANSWER_SECONDS))
        self.assertIn("cannot reach", self.gateway()["upstreams"][0]["last_error"])
        self.configure()

        # The gateway's other ports are refused, and that is written down.
        self.assertEqual(ok("agent", "exec", "quick", "--", "python3", "-c", REACH, "172.16.0.1", "22"), "refused\n")
        eventually(lambda: "172.16.0.1:22" in ok("network", "log", "quick"))
        refusals = json.loads(ok("network", "log", "quick", "--json"))
        self.assertIn(("llm", "path"), [(refusal["by"], refusal["rule"]) for refusal in refusals])
        # A slow guest may have sent it twice.
        packets = {(packet["agent"], packet["address"], packet["rule"]) for packet in refusals
                   if packet["by"] == "firewall" and packet["port"] == 22}
        self.assertEqual(packets, {("quick", "172.16.0.1", "service")})
        self.assertIn("quick firewall tcp 172.16.0.1:22 (service)", ok("network", "log", "quick"))

        # What is allowed is kept for its next start.
        record = Path(HOME, "agents", "quick.json")
        self.assertEqual(ok("network", "allow", "quick", "203.0.113.0/24"), "quick: 203.0.113.0/24\n")
        self.assertEqual(json.loads(record.read_text())["allowed"], ["203.0.113.0/24"])
        self.assertEqual(ok("network", "deny", "quick", "203.0.113.0/24"), "quick: nothing is on its list\n")
        self.assertNotIn("allowed", json.loads(record.read_text()))
        self.assertIn("not on the list", crew.fireclaw("network", "deny", "quick", "203.0.113.0/24").stderr)

        ok("agent", "stop", "quick")
        pid = self.gateway()["pid"]
        ok("network", "down")
        eventually(lambda: is_gone(pid))
        log = Path(HOME, "gateway.log").read_text()
        self.assertNotIn(KEY, log)
        self.assertNotIn(PASSWORD, log)


if __name__ == "__main__":
    crew.main()

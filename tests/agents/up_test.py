"""`fireclaw up`: a crew by one command, with real machines, the private IRC server and an LLM that follows a script."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest
from pathlib import Path
from typing import List, Sequence

import crew
from crew import HOME, agents, arguments, command_line, engines_of, eventually, fireclaw, ok, taps
from irc_client import Human
from scripted_llm import ScriptedLlm

READY_SECONDS = 240.0
ANSWER_SECONDS = 60.0
END_SECONDS = 60.0
#: What stays for the next machine on a network that was there before, or is taken away after a crew that was killed.
NETWORK = ("gateway", "netd", "pasta", "slirp4netns")


def readmes_commands() -> List[List[str]]:
    """Three commands to an agent."""
    text = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
    block = text.partition("Three commands start an agent")[2].split("```")[1]
    return [line.partition("#")[0].split() for line in block.splitlines()[1:]]


def processes_of_crew() -> List[int]:
    """Programs of this home folder."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            try:
                words = Path(f"/proc/{entry}/cmdline").read_bytes().split(b"\0")
                state = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if state != "Z" and any(word.startswith(HOME.encode()) for word in words) and b"python" not in words[0]:
                found.append(int(entry))
    return found


def serves(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


class Up(unittest.TestCase):
    def setUp(self) -> None:
        config = Path(HOME, "config.json")
        self.addCleanup(config.write_text, config.read_text())
        # Without rights to the host's network agents come to IRC from this host's loopback, as people do.
        Path(HOME, "overseer.json").write_text(json.dumps({"operators": ["alice!*@*"]}))
        self.addCleanup(Path(HOME, "overseer.json").unlink)
        self.folder = tempfile.mkdtemp(prefix="fireclaw-up-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.addCleanup(self.forget)
        fireclaw("network", "down")

    def forget(self) -> None:
        for name, agent in agents().items():
            if agent["vm"]:
                ok("agent", "stop", name)
            ok("agent", "remove", name)
            fireclaw("workspace", "remove", name)
        fireclaw("network", "down")

    def llm(self, port: int = 11434, ollama: bool = True) -> ScriptedLlm:
        llm = ScriptedLlm([{"reply": {"content": "Hello!"}}], port=port, models=["embed-small", "tiny:1b"], ollama=ollama)
        self.addCleanup(llm.close)
        return llm

    def up(self, *words: str) -> "subprocess.Popen[bytes]":
        self.output = Path(self.folder, "output")
        with open(self.output, "wb") as output:
            process = subprocess.Popen(arguments("up", *words), stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def waits_for(self, process: "subprocess.Popen[bytes]", line: str) -> None:
        eventually(lambda: line in self.said() or process.poll() is not None, READY_SECONDS)
        self.assertIn(line, self.said())

    def said(self) -> str:
        return self.output.read_text()

    def talks(self, agent: str) -> None:
        with Human(6667, "alice") as alice:
            alice.join("#agents")
            alice.join("#control")
            alice.say("#agents", f"{agent}: hi")
            self.assertEqual(alice.hears(agent, "#agents", "", ANSWER_SECONDS), "alice: Hello!")
            alice.say("#control", "!list")
            self.assertIn(f"{agent} [tiny:1b]", alice.hears("overseer", "#control", f"{agent} ", ANSWER_SECONDS))

    def processes_left(self, but: Sequence[str]) -> List[str]:
        left = [command_line(pid) for pid in processes_of_crew()]
        return [line for line in left if not any(name in line for name in but)]

    def nothing_is_left(self, but: Sequence[str] = ()) -> None:
        self.assertEqual(self.processes_left(but), [])
        self.assertEqual([command_line(pid) for pid in engines_of()], [])
        self.assertEqual(os.listdir(os.path.join(HOME, "runs")), [])
        self.assertEqual(taps(), [])
        self.assertFalse(serves(6667))

    def test_the_readmes_commands_lead_to_an_agent_and_ctrl_c_ends_all_in_order(self) -> None:
        llm = self.llm()
        setup, up, irc = readmes_commands()
        self.assertEqual((setup[0], up[:2], irc[:3]), ("fireclaw", ["fireclaw", "up"], ["irssi", "-c", "127.0.0.1"]))
        ok(*setup[1:])
        process = self.up(*up[2:])
        self.waits_for(process, "ready ")
        self.talks("worker")
        self.assertEqual(llm.requests[-1]["body"]["model"], "tiny:1b")
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(END_SECONDS), 0, self.said())
        lines = [line.split() for line in self.said().splitlines()]
        names = [words[0] for words in lines]
        self.assertEqual([name for name in names if name in ("setup", "llm", "irc", "overseer", "worker", "ready")][:6],
                         ["setup", "llm", "irc", "overseer", "worker", "ready"])
        self.assertEqual([words[0] for words in lines if words[1:] == ["ended"]], ["agents", "overseer", "irc"])
        self.assertEqual(agents()["worker"]["state"], "stopped")
        self.nothing_is_left()

    def test_a_server_that_speaks_openais_protocol_is_found_beside_another_program_on_ollamas_port(self) -> None:
        with socket.create_server(("0.0.0.0", 11434)):
            llm = self.llm(port=1234, ollama=False)
            process = self.up("quick", "--name", "ada")
            self.waits_for(process, "ready ")
            self.assertIn("LM Studio at http://127.0.0.1:1234, model tiny:1b", self.said())
            self.talks("ada")
            self.assertEqual(llm.requests[-1]["api"], "openai")
            # A part that ends by itself ends the others.
            overseer = json.loads(ok("overseer", "status", "--json"))["pid"]
            os.kill(overseer, signal.SIGKILL)
            self.assertEqual(process.wait(END_SECONDS), 125, self.said())
            self.assertIn("overseer: it ended with signal 9", self.said())
            self.nothing_is_left()

    def test_a_crew_whose_command_is_killed_ends_in_order_as_well(self) -> None:
        self.llm()
        process = self.up("quick")
        self.waits_for(process, "ready ")
        process.kill()
        process.wait()
        eventually(lambda: not self.processes_left(NETWORK) and not serves(6667), END_SECONDS)
        self.assertEqual(agents()["quick"]["state"], "stopped")
        self.nothing_is_left(but=NETWORK)

    def test_ctrl_c_while_it_starts_takes_back_what_was_started(self) -> None:
        self.llm()
        process = self.up("quick")
        self.waits_for(process, "overseer ")
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(END_SECONDS), 130, self.said())
        self.nothing_is_left()

    def test_without_an_llm_it_says_in_one_line_how_to_get_one(self) -> None:
        done = fireclaw("up", "quick")
        self.assertEqual((done.returncode, len(done.stderr.splitlines())), (125, 1), done.stderr)
        self.assertIn("ollama.com/install.sh | sh && ollama pull phi4-mini", done.stderr)
        with ScriptedLlm(port=11434) as empty:
            done = fireclaw("up", "quick")
            self.assertEqual(done.returncode, 125)
            self.assertIn(f"Ollama at {empty.url} has no model 'phi4-mini'; get it with: ollama pull phi4-mini", done.stderr)
        self.llm()
        done = fireclaw("up", "quick", "--model", "other")
        self.assertEqual(done.returncode, 125)
        self.assertIn("ollama pull other", done.stderr)
        done = fireclaw("up", "--llm", "127.0.0.1:11434")
        self.assertIn("it looks like http://127.0.0.1:11434", done.stderr)
        self.nothing_is_left()


if __name__ == "__main__":
    crew.enter_private_network()
    unittest.main(verbosity=2)

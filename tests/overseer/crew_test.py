"""The overseer with real agents in real machines, on a real IRC server, with an LLM that follows a script."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path
from typing import Any, Dict, List, Optional

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "agents"))

import crew  # noqa: E402
import ngircd  # noqa: E402  (crew has set the path to these)
from children import bound  # noqa: E402
from crew import Crew, agents, arguments, eventually, is_gone, ok  # noqa: E402
from irc_client import Human  # noqa: E402

START_SECONDS = 180.0
ANSWER_SECONDS = 60.0
# Without rights to the host's network agents come to IRC from this host's loopback, as people do: who is obeyed is named.
OPERATORS = [] if os.geteuid() == 0 else ["--operator", "alice!*@*"]


class Channel(Crew):
    """An overseer in #control, and alice, who is told what it says."""

    def setUp(self) -> None:
        super().setUp()
        # What a run that was interrupted left, and what agents leave that are destroyed here.
        self.forget_workspaces()
        self.addCleanup(self.forget_workspaces)
        self.overseer: Optional["subprocess.Popen[bytes]"] = None
        self.addCleanup(self.end_overseer)
        self.alice = self.human(channel="#control")
        self.alice.join("#agents")

    def forget_workspaces(self) -> None:
        for name in ("worker", "twin"):
            crew.fireclaw("workspace", "remove", name)

    def start_overseer(self, *words: str) -> str:
        """Returns its greeting."""
        self.log = open(os.path.join(self.folder, "overseer.log"), "ab")
        self.addCleanup(self.log.close)
        self.overseer = subprocess.Popen(bound(arguments("overseer", *OPERATORS, *words)), stdin=subprocess.DEVNULL, stdout=self.log,
                                         stderr=self.log)
        return self.hears("Overseer of fireclaw", START_SECONDS)

    def end_overseer(self, number: int = signal.SIGTERM) -> int:
        if self.overseer is None:
            return 0
        if self.overseer.poll() is None:
            self.overseer.send_signal(number)
        return self.overseer.wait(60)

    def tell(self, command: str, answer: str, seconds: float = START_SECONDS) -> str:
        self.alice.say("#control", command)
        return self.hears(answer, seconds)

    def hears(self, pattern: str, seconds: float = START_SECONDS) -> str:
        return self.alice.hears("overseer", "#control", pattern, seconds)

    def watched(self) -> List[str]:
        """The agents whose end will be noticed at once."""
        status = json.loads(ok("overseer", "status", "--json"))
        return [agent["name"] for agent in status["agents"] if agent["watched"]]

    def asks(self, agent: str) -> str:
        self.alice.say("#agents", f"{agent}: hi")
        return self.alice.hears(agent, "#agents", "", ANSWER_SECONDS)

    def human(self, nick: str = "alice", channel: Optional[str] = "#agents") -> Human:
        return super().human(nick, channel)


class Life(Channel):
    def test_an_agent_is_invoked_changed_looked_at_and_destroyed(self) -> None:
        self.start_overseer()
        self.tell("!invoke worker", r'Agent "worker" started: worker \[qwen2\.5:7b\] \(172\.16\.0\.\d+\)$')
        self.assertEqual(self.asks("worker"), "alice: Hello!")
        self.tell("!list", r"worker \[qwen2\.5:7b\] \(172\.16\.0\.\d+\) running, up ")
        self.alice.say("#control", "!model worker phi4-mini")
        # The agent itself says so where it is, once it has the model.
        self.alice.expect(r"worker!\S+ PRIVMSG #agents :\[reloaded: model=phi4-mini\]", ANSWER_SECONDS)
        eventually(lambda: agents()["worker"]["model"] == "phi4-mini")
        self.asks("worker")
        self.assertEqual(self.llm.requests[-1]["body"]["model"], "phi4-mini")
        self.alice.say("#control", "!persona worker You are a parrot.")
        self.alice.expect(r"worker!\S+ PRIVMSG #agents :\[reloaded: persona\]", ANSWER_SECONDS)
        self.asks("worker")
        self.assertIn("You are a parrot.", self.system_prompt(self.llm.requests[-1]))
        self.tell("!status worker", r"worker \[phi4-mini\] .* running, on IRC in #agents, up .* MiB of \d+ MiB, CPU .*, no error$")
        self.tell("!memory worker", "# Agent Memory", ANSWER_SECONDS)
        self.tell("!logs worker 1", ".*(INFO|DEBUG|info|config)", ANSWER_SECONDS)
        self.llm.rules({"reply": {"content": "Fine, thanks."}})
        self.tell("!say worker how are you?", "<worker> Fine, thanks", ANSWER_SECONDS)
        self.tell("!pause worker", 'Agent "worker" is paused$')
        self.assertEqual(agents()["worker"]["state"], "paused")
        self.tell("!resume worker", 'Agent "worker" is resumed$')
        ok("agent", "exec", "worker", "echo kept > /workspace/file")
        self.tell("!fork worker twin", r'Agent "twin" started: twin \[phi4-mini\]', ANSWER_SECONDS)
        self.assertEqual(ok("agent", "exec", "twin", "cat /workspace/file; uname -n"), "kept\ntwin\n")
        self.tell("!snapshot worker good", r'Agent "worker" saved as good \(\d+ MiB\)', ANSWER_SECONDS)
        self.assertIn("good", ok("snapshot", "list"))
        ok("snapshot", "remove", "good")
        self.tell("!destroy twin", 'Agent "twin" destroyed; its workspace stays$')
        self.tell("!destroy worker", 'Agent "worker" destroyed; its workspace stays$')
        self.assertEqual(agents(), {})
        self.assertIn("worker", ok("workspace", "list"))

    def test_what_cannot_be_done_is_said_in_one_line_and_leaves_nothing(self) -> None:
        self.start_overseer()
        self.tell("!invoke nothing", 'There is no template "nothing"; !templates lists those there are$')
        self.tell("!destroy nobody", 'There is no agent "nobody"; !list shows those there are$')
        self.tell("!invoke quick ann", 'Agent "ann" started')
        self.tell("!invoke quick ann", "!invoke quick ann failed: .*agent 'ann' runs already")
        self.tell("!stopall", "Stopped ann$")
        self.tell("!list", r"ann \[phi4-mini\] stopped$")
        self.tell("!restart ann", r'Agent "ann" started: ann \[phi4-mini\]')
        self.tell("!restart ann", r'Agent "ann" started: ann \[phi4-mini\]')


class Recovery(Channel):
    def test_an_agent_whose_engine_is_killed_is_announced_at_once_and_comes_back(self) -> None:
        self.start_overseer()
        self.tell("!invoke quick", 'Agent "quick" started')
        before = agents()["quick"]
        # An agent that was started elsewhere is looked after as well.
        other = self.start("quick", "--name", "other")
        eventually(lambda: self.watched() == ["other", "quick"])
        for name, pid in (("quick", before["engine_pid"]), ("other", other["engine_pid"])):
            killed = time.monotonic()
            os.kill(pid, signal.SIGKILL)
            self.hears(f'Agent "{name}" died: ')
            self.assertLess(time.monotonic() - killed, 2)
            self.hears(f'Agent "{name}" started: ')
        self.assertNotEqual(agents()["quick"]["vm"], before["vm"])
        # The server may still take the dead one for alive: then the new one has another nick until that is over.
        self.assertTrue(self.asks("quick_" if "quick_" in self.alice.nicks("#agents") else "quick"))

    def test_an_agent_that_somebody_stops_is_left_alone(self) -> None:
        self.start_overseer()
        self.tell("!invoke quick", 'Agent "quick" started')
        ok("agent", "stop", "quick")
        self.tell("!list", r"quick \[phi4-mini\] stopped$")
        self.assertFalse([line for line in self.alice.received if "died" in line])

    def test_killed_and_started_again_the_overseer_adopts_its_agents(self) -> None:
        self.start_overseer()
        self.tell("!invoke quick ann", 'Agent "ann" started')
        self.tell("!invoke quick ben", 'Agent "ben" started')
        before = agents()
        self.end_overseer(signal.SIGKILL)
        self.alice.expect(r"overseer!\S+ QUIT")
        self.assertFalse(is_gone(before["ann"]["engine_pid"]))
        os.kill(before["ben"]["engine_pid"], signal.SIGKILL)
        self.assertRegex(self.start_overseer(), r": 1 agent runs \(ann\), 1 was found dead \(ben\)\.")
        self.hears('Agent "ben" started: ')
        self.assertEqual(agents()["ann"]["vm"], before["ann"]["vm"])
        self.assertTrue(self.asks("ann"))

    def test_ended_in_the_middle_of_a_start_it_undoes_it(self) -> None:
        self.start_overseer()
        self.alice.say("#control", "!invoke quick ann")
        eventually(lambda: agents().get("ann", {}).get("state") == "starting", 60)
        self.assertEqual(self.end_overseer(), 0)
        self.alice.expect(r"overseer!\S+ QUIT :.*agents continue")
        left: Dict[str, Any] = agents()
        # Unless it had been started before it could be undone.
        self.assertIn(left.get("ann", {}).get("state", "gone"), ("gone", "running"))

    def test_ended_in_the_middle_of_a_copy_it_undoes_it_and_the_first_goes_on(self) -> None:
        self.start_overseer()
        self.tell("!invoke quick", 'Agent "quick" started')
        first = agents()["quick"]["vm"]
        folder = os.path.join(crew.HOME, "snapshots")
        for command, draft in (("!fork quick twin", ".draft-fork-twin-"), ("!snapshot quick good", ".draft-good-")):
            with self.subTest(command=command):
                self.alice.say("#control", command)
                eventually(lambda: [name for name in os.listdir(folder) if name.startswith(draft)], 30)
                self.assertEqual(self.end_overseer(), 0)
                self.alice.expect(r"overseer!\S+ QUIT :.*agents continue")
                self.assertEqual([name for name in os.listdir(folder) if name.startswith(".")], [])
                self.assertEqual(agents()["quick"]["vm"], first)
                self.assertEqual(ok("agent", "exec", "quick", "echo well"), "well\n")
                # Unless it had been done before it could be undone.
                self.assertIn(agents().get("twin", {}).get("state", "gone"), ("gone", "running"))
                crew.fireclaw("snapshot", "remove", "good")
                self.start_overseer()

    def test_it_stops_the_agents_too_if_asked_to(self) -> None:
        self.start_overseer("--stop-agents")
        self.tell("!invoke quick", 'Agent "quick" started')
        self.assertEqual(self.end_overseer(), 0)
        self.assertEqual(agents()["quick"]["state"], "stopped")


class Servers(Channel):
    def test_the_private_server_serves_people_and_agents(self) -> None:
        type(self).irc.stop()
        self.addCleanup(type(self).irc.start)
        served = subprocess.Popen(bound(arguments("irc")), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)
        self.addCleanup(served.wait, 20)
        self.addCleanup(served.terminate)
        self.alice = self.human(channel="#control")
        self.alice.join("#agents")
        self.start_overseer()
        self.tell("!invoke quick", r'Agent "quick" started: quick \[phi4-mini\] \(172\.16\.')
        self.assertTrue(self.asks("quick"))
        self.end_overseer()
        status = json.loads(ok("agent", "status", "quick", "--json"))
        self.assertTrue(status["online"], status)
        ok("agent", "stop", "quick")


if __name__ == "__main__":
    if ngircd.PATH is None:
        print("skipped: ngircd is not installed")
        raise SystemExit(77)
    crew.enter_private_network()
    unittest.main(verbosity=2)

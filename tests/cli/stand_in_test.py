"""The program as its users call it, with the stand-in for Firecracker and the real guestd behind it: what commands do, say
and return, without a hypervisor. Commands "in machines" are processes of this host."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import unittest
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))

from children import bound  # noqa: E402

FIRECLAW = os.environ["FIRECLAW_PROGRAM"]
LIMIT_SECONDS = 60


class StandIn(unittest.TestCase):
    home: str

    @classmethod
    def setUpClass(cls) -> None:
        keeper = subprocess.Popen(bound([os.environ["FIRECLAW_STAND_IN_HOME"]]), stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True)
        cls.addClassCleanup(keeper.communicate, timeout=LIMIT_SECONDS)
        assert keeper.stdout is not None
        cls.home = keeper.stdout.readline().strip()

    def tearDown(self) -> None:
        names = [vm["name"] or vm["id"] for vm in json.loads(self.done("vm", "list", "--json"))]
        if names:
            self.done("vm", "remove", "--force", *names)
        snapshots = [snapshot["name"] for snapshot in json.loads(self.done("snapshot", "list", "--json"))]
        if snapshots:
            self.done("snapshot", "remove", *snapshots)

    @classmethod
    def arguments(cls, *words: str) -> List[str]:
        return bound([FIRECLAW, "--home", cls.home, *words])

    @classmethod
    def fireclaw(cls, *words: str, stdin: Optional[str] = None) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(cls.arguments(*words), input=stdin, capture_output=True, text=True, timeout=LIMIT_SECONDS,
                              env={**os.environ, "FIRECLAW_NET": "none"}, stdin=subprocess.DEVNULL if stdin is None else None)

    def done(self, *words: str, stdin: Optional[str] = None) -> str:
        result = self.fireclaw(*words, stdin=stdin)
        self.assertEqual((result.returncode, result.stderr), (0, ""), words)
        return result.stdout

    def refused(self, *words: str) -> str:
        """What it says in its one line."""
        result = self.fireclaw(*words)
        self.assertEqual((result.returncode, result.stdout, result.stderr.count("\n")), (125, "", 1), result.stderr)
        return result.stderr

    def create(self, *names: str) -> None:
        for name in names:
            self.done("vm", "create", "--no-snapshot", name)

    def states(self) -> Dict[str, str]:
        return {vm["name"]: vm["state"] for vm in json.loads(self.done("vm", "list", "--json"))}


class Commands(StandIn):
    def test_status_and_streams_are_the_commands(self) -> None:
        self.create("dev")
        for first in (["run", "--no-snapshot"], ["vm", "exec", "dev"]):
            for line, status, out, err in (("true", 0, "", ""), ("echo out; echo err >&2; exit 3", 3, "out\n", "err\n"),
                                           ("kill -9 $$", 137, "", ""), ("exit 125", 125, "", ""), ("cat", 0, "in", ""),
                                           ("/nonexistent/program", 127, "", None), ("/etc/passwd", 126, "", None)):
                with self.subTest(first=first, line=line):
                    result = self.fireclaw(*first, line, stdin="in")
                    self.assertEqual((result.returncode, result.stdout), (status, out))
                    if err is not None:
                        self.assertEqual(result.stderr, err)

    def test_programs_that_cannot_be_run_give_127_and_126_with_one_line(self) -> None:
        for program, status in (("/nonexistent/program", 127), ("/etc/passwd", 126)):
            with self.subTest(program=program):
                result = self.fireclaw("run", "--no-snapshot", "--", program)
                self.assertEqual((result.returncode, result.stdout, result.stderr.count("\n")), (status, "", 1), result.stderr)
                self.assertIn(program, result.stderr)

    def test_a_timeout_is_status_124_also_where_a_program_ignores_signals(self) -> None:
        for line in ("sleep 60", "trap '' TERM; sleep 60"):
            with self.subTest(line=line):
                self.assertEqual(self.fireclaw("run", "--no-snapshot", "-t", "0.2", line).returncode, 124)

    def test_json_has_what_the_command_wrote_and_how_it_ended(self) -> None:
        result = self.fireclaw("run", "--no-snapshot", "--json", "echo out; echo err >&2; exit 3")
        said = json.loads(result.stdout)
        self.assertEqual((result.returncode, result.stderr), (3, ""))
        self.assertEqual((said["stdout"], said["stderr"], said["status"]), ("out\n", "err\n", 3))

    def test_environment_directory_and_input_are_as_asked(self) -> None:
        self.assertEqual(self.done("run", "--no-snapshot", "-e", "A=1", "-e", "B=x=y", "-w", "/usr", 'echo "$A $B $PWD"'), "1 x=y /usr\n")
        self.assertEqual(self.done("run", "--no-snapshot", "--no-stdin", "cat", stdin="in"), "")
        for wrong in ("A", "=1", ""):
            self.assertIn(f"-e '{wrong}': use KEY=VALUE", self.refused("run", "-e", wrong, "true"))


class Several(StandIn):
    def test_what_fails_for_one_of_several_is_told_and_done_with_the_others(self) -> None:
        self.create("one", "two")
        for words, state in ((["pause"], "paused"), (["resume"], "running"), (["stop"], "stopped"), (["start"], "running"),
                             (["remove", "--force"], None)):
            with self.subTest(words=words):
                result = self.fireclaw("vm", *words, "one", "nobody", "two")
                self.assertEqual((result.returncode, result.stderr.count("\n")), (125, 1), result.stderr)
                self.assertRegex(result.stderr, "^fireclaw: .*'nobody'")
                self.assertEqual(self.states(), {} if state is None else {"one": state, "two": state})

    def test_in_json_those_are_named_with_which_it_was_done(self) -> None:
        self.create("one", "two")
        for words, key in ((["pause"], "paused"), (["resume"], "resumed"), (["stop"], "stopped"), (["remove"], "removed")):
            with self.subTest(words=words):
                result = self.fireclaw("vm", *words, "--json", "one", "nobody", "two")
                self.assertEqual((result.returncode, json.loads(result.stdout)), (125, {key: ["one", "two"]}))

    def test_one_that_is_not_there_is_one_error(self) -> None:
        for words in (["pause"], ["resume"], ["stop"], ["start"], ["remove"], ["kill"], ["inspect"], ["logs"], ["ps"], ["stats"]):
            with self.subTest(words=words):
                self.assertIn("nobody", self.refused("vm", *words, "nobody"))
        self.assertIn("nobody", self.refused("vm", "exec", "nobody", "true"))
        self.assertIn("nobody", self.refused("vm", "rename", "nobody", "somebody"))
        self.assertIn("nobody", self.refused("vm", "snapshot", "nobody", "s"))
        self.assertIn("nobody", self.refused("snapshot", "remove", "nobody"))
        self.assertIn("nobody", self.refused("run", "--snapshot", "nobody", "true"))

    def test_what_its_state_forbids_is_refused(self) -> None:
        self.create("dev")
        self.assertIn("vm stop dev", self.refused("vm", "remove", "dev"))
        self.assertIn("dev", self.refused("vm", "create", "dev"))
        self.assertIn("dev", self.refused("vm", "rename", "dev", "dev"))
        self.done("vm", "stop", "dev")
        for words in (["pause", "dev"], ["resume", "dev"], ["exec", "dev", "true"], ["ps", "dev"], ["snapshot", "dev", "s"]):
            with self.subTest(words=words):
                self.assertIn("dev", self.refused("vm", *words))
        self.assertEqual(self.states(), {"dev": "stopped"})


class Jobs(StandIn):
    def test_a_job_that_is_not_there_is_one_error(self) -> None:
        self.create("dev")
        self.assertEqual(json.loads(self.done("vm", "ps", "dev", "--json")), [])
        self.assertIn("no detached command in 'dev'", self.refused("vm", "logs", "dev", "-n", "1"))
        self.assertIn("no detached command in 'dev'", self.refused("vm", "logs", "dev", "-f"))
        for words in (["logs", "dev", "job-9"], ["logs", "dev", "job-9", "-f"], ["attach", "dev", "job-9"]):
            with self.subTest(words=words):
                self.assertIn("no command 'job-9' in 'dev'; see: fireclaw vm ps dev", self.refused("vm", *words))
        self.assertIn("--follow does not go with --json", self.fireclaw("vm", "logs", "dev", "-f", "--json").stderr)
        self.assertIn("job-9", self.refused("vm", "kill", "dev", "--job", "job-9"))


class Snapshots(StandIn):
    def saved(self) -> Dict[str, Any]:
        [snapshot] = json.loads(self.done("snapshot", "list", "--json"))
        return {name: snapshot[name] for name in ("name", "image", "cpus", "memory_mib", "network_device")}

    def continues(self, name: str) -> None:
        """Where machines are restored at all, one continues from the snapshot; without /dev/kvm it is said that none can."""
        words = ("run", "--snapshot", name, "echo well")
        if os.access("/dev/kvm", os.R_OK | os.W_OK):
            self.assertEqual(self.done(*words), "well\n")
        else:
            self.assertRegex(self.refused(*words), f"snapshot '{name}' cannot be restored: .*/dev/kvm")

    def replaced(self, *words: str) -> Sequence[Any]:
        self.done("snapshot", "create", "base", "--replace", *words)
        saved = self.saved()
        return (saved["cpus"], saved["memory_mib"])

    def test_what_is_not_said_again_is_as_in_the_snapshot_that_is_replaced(self) -> None:
        self.done("snapshot", "create", "base", "--cpus", "2", "--memory", "192")
        self.assertIn("there is a snapshot named 'base'", self.refused("snapshot", "create", "base"))
        self.assertEqual(self.replaced(), (2, 192))
        self.assertEqual(self.replaced("--cpus", "3"), (3, 192))
        self.assertEqual(self.replaced("--memory", "256"), (3, 256))
        self.assertEqual(self.replaced("--cpus", "1", "--memory", "128"), (1, 128))
        self.assertFalse(self.saved()["network_device"])
        self.assertEqual(self.replaced("--image", "busybox"), (1, 128))

    def test_an_agent_is_saved_otherwise_but_a_machine_of_its_name_is_not(self) -> None:
        agents = Path(self.home, "agents")
        agents.mkdir(mode=0o700)
        self.addCleanup(shutil.rmtree, agents)
        shutil.copy(Path(__file__).resolve().parent.parent / "upgrade/home-0.1.0/agents/ada.json", agents)
        self.assertIn("'ada' is an agent; save it with: fireclaw agent snapshot ada saved",
                      self.refused("snapshot", "create", "saved", "--of", "ada"))
        self.create("ada", "dev")
        self.done("snapshot", "create", "saved", "--of", "ada")
        self.done("snapshot", "create", "other", "--of", "dev")
        for name in ("saved", "other"):
            self.continues(name)

    def test_a_machine_is_saved_and_continues_from_it(self) -> None:
        self.create("dev")
        self.done("vm", "snapshot", "dev", "saved")
        self.assertIn("--of needs a name", self.refused("snapshot", "create", "--of", "dev"))
        self.done("snapshot", "create", "again", "--of", "dev")
        self.assertEqual({one["name"] for one in json.loads(self.done("snapshot", "list", "--json"))}, {"saved", "again"})
        self.continues("saved")
        self.assertEqual(self.states(), {"dev": "running"})


if __name__ == "__main__":
    unittest.main()

"""Agents that run are exported, imported, backed up and ended in order: real machines, a real IRC server."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any, Dict

import crew
from crew import HOME, Crew, agents, engines_of, eventually, ok

COUNTING = "nohup sh -c 'n=0; while sleep 0.1; do n=$((n+1)); echo $n > ~/count; done' >/dev/null 2>&1 & echo $!"


class Moving(Crew):
    def nothing_is_left(self) -> None:
        for snapshot in json.loads(ok("snapshot", "list", "--json")):
            if snapshot["agent"]:
                ok("snapshot", "remove", snapshot["name"])
        super().nothing_is_left()

    def archive(self, name: str) -> str:
        return os.path.join(self.folder, name)

    def imported(self, file: str, *options: str) -> Dict[str, Any]:
        made: Dict[str, Any] = json.loads(ok("agent", "import", file, "--json", *options))
        return made

    def test_an_agent_moves_while_it_runs_and_stays_on_irc(self) -> None:
        alice = self.human()
        self.start("worker", "--model", "phi4")
        process = ok("agent", "exec", "worker", COUNTING).strip()
        # Nobody asks the guest to write it to its disk.
        ok("agent", "exec", "worker", "echo kept > /workspace/note")
        ok("agent", "export", "worker", self.archive("worker.tar"))
        ok("agent", "exec", "worker", f"kill -0 {process}")
        self.assertTrue(json.loads(ok("agent", "status", "worker", "--json"))["online"])
        self.assertEqual(self.imported(self.archive("worker.tar"), "--name", "ada")["snapshot"], "")
        self.assertEqual((agents()["ada"]["state"], agents()["ada"]["model"]), ("stopped", "phi4"))
        self.assertTrue(json.loads(ok("agent", "restart", "ada", "--json"))["online"])
        self.assertEqual(ok("agent", "exec", "ada", "cat /workspace/note"), "kept\n")
        self.assertFalse([line for line in alice.received if crew.matches(r"^:?worker!\S+ (QUIT|PART|NICK)", line)])

    def test_with_its_memory_it_continues_where_it_was(self) -> None:
        self.start("worker")
        process = ok("agent", "exec", "worker", COUNTING).strip()
        ok("agent", "export", "worker", self.archive("worker.tar"), "--memory")
        made = self.imported(self.archive("worker.tar"), "--name", "ada")
        self.assertEqual(made["memory_left_out"], "")
        ok("agent", "start", "--from", made["snapshot"])
        ok("agent", "exec", "ada", f"kill -0 {process}")
        first = int(ok("agent", "exec", "ada", "cat ~/count"))
        eventually(lambda: int(ok("agent", "exec", "ada", "cat ~/count")) > first)

        # Where its image is not, it comes without.
        elsewhere = self.archive("elsewhere")
        os.mkdir(elsewhere, 0o700)
        made = json.loads(ok("agent", "import", self.archive("worker.tar"), "--json", home=elsewhere))
        self.assertEqual(made["snapshot"], "")
        self.assertIn("is gone", made["memory_left_out"])
        self.assertEqual([each["state"] for each in json.loads(ok("agent", "list", "--json", home=elsewhere))], ["stopped"])
        self.assertEqual([each["name"] for each in json.loads(ok("workspace", "list", "--json", home=elsewhere))], ["worker"])

    def test_a_backup_of_a_home_with_an_agent_that_runs_has_what_it_wrote(self) -> None:
        self.start("worker")
        ok("agent", "exec", "worker", "echo kept > /workspace/note")
        ok("backup", self.archive("saved"))
        other = self.archive("other")
        ok("restore", self.archive("saved"), home=other)
        disk = os.path.join(other, "workspaces", "worker", "disk.ext4")
        note = subprocess.run(["/sbin/debugfs", "-R", "cat /note", disk], capture_output=True, text=True, check=True)
        self.assertEqual(note.stdout, "kept\n")

    def test_a_shutdown_ends_agents_and_loses_nothing(self) -> None:
        for name in ("worker", "ada"):
            self.start("worker", "--name", name)
            ok("agent", "exec", name, f"echo {name} > /workspace/note")
        report = json.loads(ok("overseer", "shutdown", "--json"))
        self.assertEqual(report, {"ended": ["agent ada", "agent worker"], "failed": []})
        self.assertEqual(engines_of(HOME), [])
        for name in ("worker", "ada"):
            info = next(each for each in json.loads(ok("workspace", "list", "--json")) if each["name"] == name)
            self.assertTrue(info["clean"], "its guest has unmounted it")
            ok("workspace", "pull", name, "/note", self.archive(name))
            with open(self.archive(name), encoding="utf-8") as note:
                self.assertEqual(note.read(), f"{name}\n")
        os.remove(os.path.join(HOME, "overseer", "interrupted.json"))


if __name__ == "__main__":
    crew.main()

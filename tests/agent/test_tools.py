"""Tools: what the model may do, the checks before, the record after."""

import json
import os
import stat
import unittest
from typing import Any, Dict, List, Tuple
from unittest import mock

from harness import FolderTest, make_config
from bot.base.cancel import Cancel, Cancelled
from bot.llm.client import ToolCall
from bot.tools.audit import Audit
from bot.tools.memory import Memory
from bot.tools.shell import Outcome
from bot.tools.toolbox import ToolBox


class ToolTest(FolderTest):
    def setUp(self) -> None:
        super().setUp()
        os.mkdir(self.path("ws"))
        self.cancel = Cancel()
        self.addCleanup(self.cancel.__exit__)

    def box(self, podman: str = "podman", cgroup: str = "0::/\n", **changes: Any) -> ToolBox:
        tools = {"enabled": True, **changes.pop("tools", {})}
        config = make_config(workspace=self.path("ws"), tools=tools, **changes)
        memory = Memory(config.workspace)
        memory.prepare()
        return ToolBox(config, memory, Audit(config.workspace), podman=podman, own_cgroup=self.write("cgroup", cgroup), cgroups=self.path("cgroups"))

    def call(self, name: str, arguments: Dict[str, Any], box: Any = None, broken: str = "") -> str:
        chosen = box or self.box()
        assert isinstance(chosen, ToolBox)
        return chosen.call(ToolCall(name, arguments, "id", broken), self.cancel, turn="t1", asker="alice")

    def audit(self) -> List[Dict[str, Any]]:
        return [json.loads(line) for line in self.read("ws/audit.log").splitlines()]


class Calling(ToolTest):
    def test_schemas_are_what_both_protocols_expect(self) -> None:
        schemas = self.box().schemas()
        names = [schema["function"]["name"] for schema in schemas]
        self.assertEqual(names, ["run_command", "read_file", "write_file", "save_memory", "search_memory"])
        for schema in schemas:
            self.assertEqual(schema["type"], "function")
            parameters = schema["function"]["parameters"]
            self.assertEqual(parameters["type"], "object")
            self.assertLessEqual(set(parameters["required"]), set(parameters["properties"]))
        json.dumps(schemas)

    def test_a_command_runs_in_the_workspace(self) -> None:
        self.assertEqual(self.call("run_command", {"command": "pwd; exit 4"}), f"exit status 4\n{os.path.realpath(self.path('ws'))}")
        self.assertEqual(self.call("run_command", {"command": "true"}), "exit status 0\n(no output)")

    def test_a_command_has_its_time_and_the_model_may_shorten_it(self) -> None:
        result = self.call("run_command", {"command": "echo a; sleep 60"}, self.box(tools={"timeout_s": 0.3}))
        self.assertEqual(result, "timed out after 0.3 s and was killed\na")
        result = self.call("run_command", {"command": "sleep 60", "timeout": 1}, self.box(tools={"timeout_s": 50}))
        self.assertTrue(result.startswith("timed out after 1 s"))

    def test_files_round_trip_and_long_ones_come_in_parts(self) -> None:
        box = self.box(tools={"output_bytes": 256})
        content = "\n".join(f"line {number}" for number in range(1, 101))
        self.assertEqual(self.call("write_file", {"path": "d/f.txt", "content": content}, box), f"wrote {len(content)} bytes")
        first = self.call("read_file", {"path": "d/f.txt"}, box)
        self.assertRegex(first, r"^line 1\n(.*\n)*\[lines 1 to (\d+) of 100; continue with first_line \d+\]$")
        at, parts = 1, []
        while True:
            part, _, note = self.call("read_file", {"path": "d/f.txt", "first_line": at}, box).partition("\n[lines ")
            parts.append(part)
            if not note:
                break
            at = int(note.rpartition(" ")[2].rstrip("]"))
        self.assertEqual("\n".join(parts), content)
        self.assertIn("first_line must be", self.call("read_file", {"path": "d/f.txt", "first_line": 101}, box))

    def test_a_file_is_limited_by_its_bytes(self) -> None:
        for content, said in (("é" * (1 << 19), "wrote 1048576 bytes"), ("é" * (1 << 19) + "x", "error: a file may have at most 1048576 bytes")):
            self.assertEqual(self.call("write_file", {"path": "big", "content": content}), said)
        self.assertEqual(os.path.getsize(self.path("ws", "big")), 1 << 20)

    def test_a_line_that_fills_the_output_to_its_last_byte_is_whole(self) -> None:
        box = self.box(tools={"output_bytes": 300})
        self.call("write_file", {"path": "f", "content": "x" * 299 + "\nmore"}, box)
        self.assertEqual(self.call("read_file", {"path": "f"}, box), "x" * 299 + "\n[lines 1 to 1 of 2; continue with first_line 2]")

    def test_the_longest_command_is_run_and_no_longer_one(self) -> None:
        longest = "true #".ljust(32768, "x")
        self.assertEqual(self.call("run_command", {"command": longest}), "exit status 0\n(no output)")
        self.assertIn("1 to 32768 characters", self.call("run_command", {"command": longest + "x"}))

    def test_a_command_has_a_second_at_least_and_what_is_configured_at_most(self) -> None:
        given: List[float] = []

        def run(argv: Any, folder: str, timeout: float, *rest: Any) -> Outcome:
            given.append(timeout)
            return Outcome("", 0)

        with mock.patch("bot.tools.shell.run", run):
            for timeout in (-5, 0, 1, 20, 21):
                self.call("run_command", {"command": "true", "timeout": timeout}, self.box(tools={"timeout_s": 20}))
        self.assertEqual(given, [1.0, 1.0, 1.0, 20.0, 20.0])

    def test_one_endless_line_is_cut(self) -> None:
        box = self.box(tools={"output_bytes": 300})
        self.call("write_file", {"path": "f", "content": "é" * 5000}, box)
        result = self.call("read_file", {"path": "f"}, box)
        self.assertEqual(result, "é" * 150 + "\n[the line continues]")

    def test_memory_is_saved_and_found(self) -> None:
        self.assertEqual(self.call("save_memory", {"note": "alice likes tea"}), "saved to MEMORY.md")
        self.assertEqual(self.call("save_memory", {"note": "green", "topic": "tea"}), "saved to memory/tea.md")
        self.assertIn("alice likes tea", self.call("search_memory", {"query": "tea likes"}))
        self.assertEqual(self.call("search_memory", {"query": "?"}), "error: say which words to look for")

    def test_wrong_calls_are_explained_to_the_model(self) -> None:
        cases: List[Tuple[str, Dict[str, Any], str]] = [
            ("rm_rf", {}, "error: there is no tool 'rm_rf'; there are: run_command,"),
            ("run_command", {}, "error: argument 'command' (string) is missing"),
            ("run_command", {"command": 5}, "error: argument 'command' must be a string"),
            ("run_command", {"command": "ls", "timeout": "5"}, "error: argument 'timeout' must be a integer"),
            ("run_command", {"command": "ls", "timeout": True}, "error: argument 'timeout' must be a integer"),
            ("run_command", {"command": "ls", "cwd": "/"}, "error: unknown argument 'cwd'; there are: command, timeout"),
            ("run_command", {"command": "  "}, "error: the command must have"),
            ("run_command", {"command": "a\0b"}, "error: the command must have"),
            ("read_file", {"path": "../x"}, "error: '../x' must not contain '..'"),
            ("write_file", {"path": "audit.log", "content": ""}, "error: 'audit.log' is kept by the agent itself"),
            ("write_file", {"path": "big", "content": "x" * (1 << 21)}, "error: a file may have at most"),
            ("container_run", {"image": "a", "command": "b"}, "error: there is no tool 'container_run'"),
        ]
        for name, arguments, expected in cases:
            self.assertTrue(self.call(name, arguments).startswith(expected), (name, arguments, self.call(name, arguments)))

    def test_broken_arguments_go_back_to_the_model(self) -> None:
        self.assertEqual(self.call("run_command", {}, broken="the arguments are not valid JSON"), "error: the arguments are not valid JSON")

    def test_null_counts_as_absent(self) -> None:
        self.assertEqual(self.call("save_memory", {"note": "x", "topic": None}), "saved to MEMORY.md")

    def test_secrets_of_the_configuration_never_reach_the_model(self) -> None:
        box = self.box(llm={"api_key": "sk-verysecret"})
        self.assertEqual(self.call("run_command", {"command": "echo sk-very''secret sk-very''secret"}, box), "exit status 0\n*** ***")

    def test_cancelling_passes_through(self) -> None:
        self.cancel.set()
        with self.assertRaises(Cancelled):
            self.call("run_command", {"command": "sleep 60"})
        self.assertEqual([(entry["event"], entry.get("ok")) for entry in self.audit()], [("call", None), ("result", False)])


class Containers(ToolTest):
    def fake_podman(self, script: str) -> str:
        path = self.write("podman", f"#!/bin/sh\necho \"$@\" >> {self.path('argv')}\n{script}\n")
        os.chmod(path, 0o755)
        return path

    def test_a_container_runs_with_every_limit_and_without_network(self) -> None:
        box = self.box(self.fake_podman("echo inside"), tools={"containers": {"enabled": True, "memory_mib": 64, "cpus": 0.5, "pids": 9}})
        self.assertEqual(self.call("container_run", {"image": "alpine:3", "command": "id; ls"}, box), "exit status 0\ninside")
        argv = self.read("argv")
        for part in ("run --rm", "--network none", "--memory 64m", "--cpus 0.5", "--pids-limit 9", "--cap-drop all",
                     "--security-opt no-new-privileges", f"--volume {self.path('ws')}:/workspace", "alpine:3 sh -c id; ls"):
            self.assertIn(part, argv)

    def limits(self, cgroup: str) -> str:
        """podman's options for limits, for a bot in this cgroup."""
        tools = {"containers": {"enabled": True, "memory_mib": 64, "cpus": 0.5, "pids": 9}}
        self.call("container_run", {"image": "a", "command": "id"}, self.box(self.fake_podman("true"), cgroup, tools=tools))
        return self.read("argv").splitlines()[-1].split("--pull missing ")[1].split(" --network")[0]

    def test_limits_are_given_below_the_users_own_cgroup(self) -> None:
        own = f"/user-{os.getuid()}"
        self.assertEqual(self.limits("0::/\n"), "--memory 64m --cpus 0.5 --pids-limit 9")
        self.assertEqual(self.limits(f"0::{own}\n"), "--memory 64m --cpus 0.5 --pids-limit 9")
        for file in ("memory.max", "pids.max"):
            self.write(f"cgroups{own}/commands/{file}", "max\n")
        self.assertEqual(self.limits(f"0::{own}/commands\n"), f"--cgroup-parent {own} --memory 64m --pids-limit 9")
        self.write(f"cgroups{own}/commands/cpu.max", "max 100000\n")
        self.assertEqual(self.limits(f"0::{own}/commands\n"), f"--cgroup-parent {own} --memory 64m --cpus 0.5 --pids-limit 9")

    def test_network_only_where_it_is_allowed(self) -> None:
        box = self.box(self.fake_podman("true"), tools={"containers": {"enabled": True, "network": True}})
        self.call("container_run", {"image": "alpine", "command": "id"}, box)
        self.assertIn("--network private", self.read("argv"))

    def test_an_image_name_cannot_become_an_option(self) -> None:
        box = self.box(self.fake_podman("true"), tools={"containers": True})
        for image in ("--privileged", "-v=/:/host", "", "a b", "x;y", "../x"):
            self.assertIn("is not an image name", self.call("container_run", {"image": image, "command": "id"}, box))
        self.assertFalse(os.path.exists(self.path("argv")))

    def test_a_container_that_is_late_is_removed(self) -> None:
        box = self.box(self.fake_podman("[ $1 = run ] && sleep 60; true"), tools={"timeout_s": 0.3, "containers": True})
        self.assertTrue(self.call("container_run", {"image": "a", "command": "b"}, box).startswith("timed out"))
        run, remove = self.read("argv").splitlines()
        name = run.split("--name ")[1].split(" ")[0]
        self.assertEqual(remove, f"rm --force --time 0 {name}")

    def test_without_podman_the_model_is_told(self) -> None:
        box = self.box(self.path("no-podman"), tools={"containers": True})
        self.assertEqual(self.call("container_run", {"image": "a", "command": "b"}, box), "error: podman is not installed here")


class Auditing(ToolTest):
    def test_every_call_is_on_record_with_who_asked_and_how_it_ended(self) -> None:
        self.call("run_command", {"command": "echo hi"})
        self.call("read_file", {"path": "nope"})
        entries = self.audit()
        self.assertEqual([entry["event"] for entry in entries], ["call", "result", "call", "result"])
        self.assertEqual((entries[0]["tool"], entries[0]["arguments"], entries[0]["asker"]), ("run_command", {"command": "echo hi"}, "alice"))
        self.assertEqual((entries[1]["ok"], entries[1]["result"], entries[3]["ok"]), (True, "exit status 0 hi", False))
        self.assertRegex(entries[0]["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")

    def test_the_call_is_on_record_before_it_runs(self) -> None:
        self.assertIn('"event": "call"', self.call("run_command", {"command": "cat audit.log"}))

    def test_without_a_record_nothing_runs(self) -> None:
        os.mkdir(self.path("ws/audit.log"))
        self.assertIn("so no tool may run", self.call("run_command", {"command": "touch ran"}))
        os.rmdir(self.path("ws/audit.log"))
        os.symlink("/dev/null", self.path("ws/audit.log"))
        self.assertIn("so no tool may run", self.call("run_command", {"command": "touch ran"}))
        os.unlink(self.path("ws/audit.log"))
        # Only the reader of this pipe would see the record.
        os.mkfifo(self.path("ws/audit.log"))
        self.assertIn("so no tool may run", self.call("run_command", {"command": "touch ran"}))
        os.unlink(self.path("ws/audit.log"))
        real = os.write
        with mock.patch.object(os, "write", lambda descriptor, data: real(descriptor, data[:9])):
            self.assertIn("so no tool may run", self.call("run_command", {"command": "touch ran"}))
        self.assertFalse(os.path.exists(self.path("ws/ran")))

    def test_a_full_log_is_rotated_and_only_so_many_are_kept(self) -> None:
        audit = Audit(self.path("ws"), max_bytes=500, keep=2)
        for number in range(40):
            audit.record("call", number=number, filler="x" * 100)
        names = sorted(name for name in os.listdir(self.path("ws")) if name.startswith("audit"))
        self.assertEqual(names, ["audit.log", "audit.log.1", "audit.log.2"])
        numbers = [json.loads(line)["number"] for name in ("audit.log.2", "audit.log.1", "audit.log")
                   for line in self.read(f"ws/{name}").splitlines()]
        self.assertEqual(numbers, list(range(numbers[0], 40)))
        self.assertTrue(all(os.path.getsize(self.path("ws", name)) <= 500 for name in names))

    def test_a_log_is_rotated_when_a_line_does_not_fit_and_no_earlier(self) -> None:
        audit = Audit(self.path("ws"), max_bytes=1000, clock=lambda: 0.0)
        audit.record("call")
        size = os.path.getsize(self.path("ws/audit.log"))
        for max_bytes, files in ((2 * size, ["audit.log"]), (3 * size - 1, ["audit.log", "audit.log.1"])):
            Audit(self.path("ws"), max_bytes=max_bytes, clock=lambda: 0.0).record("call")
            self.assertEqual(sorted(name for name in os.listdir(self.path("ws")) if name.startswith("audit")), files)

    def test_a_line_that_a_kill_has_cut_does_not_spoil_the_next(self) -> None:
        self.write("ws/audit.log", '{"event": "ca')
        Audit(self.path("ws")).record("call")
        self.assertEqual(json.loads(self.read("ws/audit.log").splitlines()[1])["event"], "call")

    def test_huge_arguments_are_shortened(self) -> None:
        self.call("write_file", {"path": "f", "content": "x" * 100000})
        self.assertLess(len(self.read("ws/audit.log")), 4000)

    def test_others_cannot_read_the_log(self) -> None:
        self.call("run_command", {"command": "true"})
        self.assertEqual(stat.S_IMODE(os.stat(self.path("ws/audit.log")).st_mode) & 0o007, 0)


if __name__ == "__main__":
    unittest.main()

"""Commands: limits on time and output, and nothing left behind after a time-out."""

import os
import threading
import time
import unittest
from typing import Any, List
from unittest import mock

from harness import FolderTest
from bot.base.cancel import Cancel, Cancelled
from bot.tools import shell


def alive(pid: int) -> bool:
    """Whether the process runs; one that is dead but not yet waited for does not."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except FileNotFoundError:
        return False


class Running(FolderTest):
    def setUp(self) -> None:
        super().setUp()
        self.cancel = Cancel()
        self.addCleanup(self.cancel.__exit__)

    def run_command(self, command: str, timeout: float = 10.0, output: int = 4096) -> shell.Outcome:
        return shell.run(["/bin/sh", "-c", command], self.folder, timeout, output, self.cancel)

    def pids(self, count: int) -> List[int]:
        """The process ids that the commands have written into the file `pids`."""
        with open(self.path("pids"), encoding="ascii") as file:
            pids = [int(line) for line in file]
        self.assertEqual(len(pids), count)
        return pids

    def wait_dead(self, pids: List[int]) -> None:
        until = time.monotonic() + 5
        while any(alive(pid) for pid in pids):
            self.assertLess(time.monotonic(), until, "processes were left running")
            time.sleep(0.005)

    def test_output_and_status_of_a_command(self) -> None:
        outcome = self.run_command("echo out; echo err >&2; pwd; exit 3")
        self.assertEqual(outcome, shell.Outcome(f"out\nerr\n{os.path.realpath(self.folder)}", 3))
        self.assertEqual(outcome.describe(), "exit status 3")
        self.assertEqual(self.run_command("kill -9 $$").describe(), "killed by signal 9")

    def test_there_is_no_input(self) -> None:
        self.assertEqual(self.run_command("cat; echo done").output, "done")

    def test_commands_find_the_way_to_web_servers_where_there_is_one(self) -> None:
        self.addCleanup(shell.use_proxy, "")
        shell.use_proxy("http://172.16.0.1:10080")
        found = self.run_command("echo $HTTPS_PROXY $http_proxy; echo $NO_PROXY").output.splitlines()
        self.assertEqual(found[0], "http://172.16.0.1:10080 http://172.16.0.1:10080")
        self.assertIn("172.16.0.1", found[1].split(","))
        self.assertIn("gateway", found[1].split(","))
        shell.use_proxy("")
        self.assertEqual(self.run_command("echo x$HTTPS_PROXY$NO_PROXY").output, "x")

    def test_the_environment_is_small_and_without_surprises(self) -> None:
        os.environ["FIRECLAW_TEST_SECRET"] = "x"
        self.addCleanup(os.environ.pop, "FIRECLAW_TEST_SECRET")
        output = self.run_command("env").output
        self.assertNotIn("FIRECLAW_TEST_SECRET", output)
        self.assertIn("TERM=dumb", output)

    def test_what_a_command_cannot_do_without_is_there_where_we_have_it_not(self) -> None:
        with mock.patch.dict(os.environ, {"HOME": "/home/agent", "LD_PRELOAD": "x.so"}, clear=True):
            self.assertEqual(shell.environment(), {"HOME": "/home/agent", "PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "TERM": "dumb"})
        with mock.patch.dict(os.environ, {"PATH": "/bin", "LANG": "de_DE.UTF-8", "TERM": "xterm"}, clear=True):
            self.assertEqual(shell.environment(), {"PATH": "/bin", "LANG": "de_DE.UTF-8", "TERM": "dumb"})

    def test_no_descriptor_of_ours_is_inherited(self) -> None:
        with open(self.path("held"), "w", encoding="utf-8") as file:
            os.set_inheritable(file.fileno(), True)
            self.assertNotIn("held", self.run_command("ls -l /proc/self/fd").output)

    def test_long_output_keeps_its_beginning_and_end_and_costs_no_memory(self) -> None:
        outcome = self.run_command("echo first; head -c 50000000 /dev/zero | tr '\\0' x; echo; echo last", output=1000)
        self.assertEqual(outcome.status, 0)
        self.assertTrue(outcome.output.startswith("first\n"))
        self.assertTrue(outcome.output.endswith("\nlast"))
        self.assertIn("bytes left out", outcome.output)
        self.assertLess(len(outcome.output), 1100)

    def test_output_of_exactly_the_limit_is_whole(self) -> None:
        for size in (999, 1000, 1001):
            output = self.run_command(f"head -c {size} /dev/zero | tr '\\0' y", output=1000).output
            self.assertEqual("left out" in output, size > 1000, size)

    def test_bytes_that_are_no_text_do_no_harm(self) -> None:
        self.assertEqual(self.run_command("printf '\\377\\376a\\033[31mb\\0c'").output, "\ufffd\ufffdabc")

    def test_a_time_out_ends_the_command_and_its_children(self) -> None:
        began = time.monotonic()
        outcome = self.run_command("echo $$ >> pids; sleep 60 & echo $! >> pids; (sleep 60; true) & echo $! >> pids; echo hi; wait", 0.4)
        self.assertLess(time.monotonic() - began, 5.0)
        self.assertEqual((outcome.output, outcome.timed_out, outcome.status), ("hi", True, None))
        self.wait_dead(self.pids(3))

    def test_a_time_out_also_ends_children_in_a_session_of_their_own(self) -> None:
        self.run_command("setsid sh -c 'echo $$ >> pids; exec sleep 60' & setsid sh -c 'trap \"\" TERM HUP; echo $$ >> pids; "
                         "exec sleep 60' & while [ $(cat pids | wc -l) != 2 ]; do sleep 0.01; done; sleep 60", 1.0)
        self.wait_dead(self.pids(2))

    def test_a_time_out_ends_children_that_have_cleared_their_environment(self) -> None:
        self.run_command("env -i sleep 60 & echo $! >> pids; env -i sh -c 'echo $$ >> pids; sleep 60; true'", 0.5)
        self.wait_dead(self.pids(2))

    def test_a_command_that_ignores_signals_is_ended_too(self) -> None:
        began = time.monotonic()
        self.assertTrue(self.run_command("trap '' TERM INT HUP; while kill -0 $PPID; do :; done", 0.3).timed_out)
        self.assertLess(time.monotonic() - began, 5.0)

    def test_a_background_child_that_holds_the_output_does_not_hold_the_command(self) -> None:
        began = time.monotonic()
        outcome = self.run_command("sleep 60 & echo $! > pids; echo started")
        self.assertEqual((outcome.output, outcome.status), ("started", 0))
        self.assertLess(time.monotonic() - began, 5.0)
        # It ended in time, so what it left in the background continues.
        pid = self.pids(1)[0]
        self.assertTrue(alive(pid))
        os.kill(pid, 9)

    def test_cancelling_ends_the_command_at_once(self) -> None:
        seen: List[Any] = []

        def work() -> None:
            try:
                self.run_command("echo $$ > pids; echo ready > ready; sleep 60", 60)
            except Cancelled:
                seen.append("cancelled")

        thread = threading.Thread(target=work)
        thread.start()
        until = time.monotonic() + 5
        while not os.path.exists(self.path("ready")):
            self.assertLess(time.monotonic(), until)
            time.sleep(0.005)
        self.cancel.set()
        thread.join(5)
        self.assertEqual(seen, ["cancelled"])
        self.wait_dead(self.pids(1))

    def test_what_cannot_be_started_is_an_error(self) -> None:
        with self.assertRaises(FileNotFoundError):
            shell.run(["/no/such/program"], self.folder, 1, 100, self.cancel)


class Cancelling(unittest.TestCase):
    def test_everybody_who_waits_is_woken(self) -> None:
        with Cancel() as cancel:
            called: List[str] = []
            forget = cancel.on_set(lambda: called.append("forgotten"))
            cancel.on_set(lambda: called.append("kept"))
            forget()
            thread = threading.Thread(target=lambda: self.assertRaises(Cancelled, cancel.wait, 60))
            thread.start()
            cancel.set()
            cancel.set()
            thread.join(5)
            self.assertFalse(thread.is_alive())
            cancel.on_set(lambda: called.append("late"))
            self.assertEqual(called, ["kept", "late"])
            self.assertEqual(os.read(cancel.fileno(), 10), b"x")
        # Setting it after its life does nothing.
        cancel.set()

    def test_it_closes_its_descriptors_once(self) -> None:
        before = set(os.listdir("/proc/self/fd"))
        cancel = Cancel()
        cancel.__exit__()
        self.assertEqual(set(os.listdir("/proc/self/fd")), before)
        # What has their numbers now is another's.
        others = os.pipe()
        self.addCleanup(os.close, others[0])
        self.addCleanup(os.close, others[1])
        cancel.__exit__()
        os.fstat(others[0])
        os.fstat(others[1])


if __name__ == "__main__":
    unittest.main()

"""Machines with names, as the command line makes, uses and ends them."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest
from pathlib import Path
from typing import Any, Optional

FIRECLAW = os.environ["FIRECLAW_PROGRAM"]
HOME = os.environ.get("FIRECLAW_TEST_HOME") or os.environ["FIRECLAW_BUILD_HOME"]
LIMIT_SECONDS = 180
# Tests change nothing in the network namespace that they are started in.
os.environ["FIRECLAW_NET"] = "none"


def arguments(*words: str) -> list[str]:
    common = [FIRECLAW, "--home", HOME]
    if engine := os.environ.get("FIRECLAW_TEST_ENGINE"):
        common += ["--engine", engine]
    return [*common, *words]


def fireclaw(*words: str, stdin: Optional[str] = None) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(arguments(*words), input=stdin, capture_output=True, text=True, timeout=LIMIT_SECONDS,
                          stdin=subprocess.DEVNULL if stdin is None else None)


class Machines(unittest.TestCase):
    def setUp(self) -> None:
        self.made: list[str] = []

    def tearDown(self) -> None:
        for name in self.made:
            fireclaw("vm", "rm", "--force", name)

    def done(self, *words: str, stdin: Optional[str] = None) -> str:
        result = fireclaw(*words, stdin=stdin)
        self.assertEqual((result.returncode, result.stderr), (0, ""), words)
        return result.stdout

    def refused(self, *words: str) -> str:
        result = fireclaw(*words)
        self.assertEqual((result.returncode, result.stdout), (125, ""), result.stderr)
        self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
        return result.stderr

    def create(self, name: str, *options: str) -> dict[str, Any]:
        self.made.append(name)
        return json.loads(self.done("vm", "create", name, "--json", *options))

    def inspect(self, name: str) -> dict[str, Any]:
        return json.loads(self.done("vm", "inspect", name))

    def state(self, name: str) -> str:
        return str(self.inspect(name)["state"])

    def listed(self) -> dict[str, dict[str, Any]]:
        return {machine["name"]: machine for machine in json.loads(self.done("vm", "ls", "--json"))}

    def wait_for_log(self, name: str, text: str) -> None:
        """Of its only detached command."""
        end, seen = time.monotonic() + LIMIT_SECONDS, ""
        while time.monotonic() < end:
            if (seen := self.done("vm", "logs", name, "job-1")) == text:
                return
            time.sleep(0.1)
        self.fail(f"the command has written {seen!r}")

    def run_in(self, name: str, *words: str, stdin: Optional[str] = None) -> str:
        return self.done("vm", "exec", name, *words, stdin=stdin)


class Life(Machines):
    def test_a_machine_keeps_its_name_and_its_scratch_disk_while_it_is_stopped(self) -> None:
        made = self.create("dev", "--scratch", "16M")
        self.assertEqual((made["state"], made["hostname"], made["scratch_target"]), ("running", "dev", "/scratch"))
        self.assertIn("fireclaw vm rm dev", self.refused("vm", "create", "dev"))
        self.assertEqual(self.run_in("dev", "echo kept > /scratch/f; echo lost > /root/f; hostname"), "dev\n")
        self.assertIn("--force", self.refused("vm", "rm", "dev"))
        self.done("vm", "stop", "dev")
        self.done("vm", "stop", "dev")
        stopped = self.listed()["dev"]
        self.assertEqual((stopped["state"], stopped["id"], stopped["engine_pid"]), ("stopped", "", 0))
        self.assertIn("fireclaw vm start dev", self.refused("vm", "exec", "dev", "true"))
        self.assertIn("fireclaw vm start dev", self.refused("vm", "pause", "dev"))
        self.done("vm", "start", "dev")
        self.assertEqual(self.run_in("dev", "cat /scratch/f; ls /root/f 2>/dev/null; hostname"), "kept\ndev\n")
        self.done("vm", "rm", "--force", "dev")
        self.assertNotIn("dev", self.listed())
        self.assertEqual(list(Path(HOME, "machines").iterdir()), [])

    def test_its_root_can_be_on_a_disk_that_is_kept(self) -> None:
        made = self.create("rooted", "--scratch", "32M:/")
        self.assertEqual(made["scratch_target"], "/")
        self.run_in("rooted", "echo kept > /root/f; rm /etc/profile; dd if=/dev/zero of=/big bs=1M count=4 2>/dev/null")
        self.assertIn("/", self.run_in("rooted", "grep ' /upper\\|overlay / ' /proc/mounts"))
        self.assertIn("scratch disk", self.refused("vm", "snapshot", "rooted", "never"))
        self.done("vm", "stop", "rooted")
        self.done("vm", "start", "rooted")
        self.assertEqual(self.run_in("rooted", "cat /root/f; stat -c %s /big; [ -e /etc/profile ] || echo gone"),
                         f"kept\n{4 << 20}\ngone\n")

    def clock_becomes_right(self, name: str) -> None:
        deadline = time.monotonic() + 60
        while True:
            before = time.time()
            said = int(self.run_in(name, "date +%s"))
            after = time.time()
            if before - 2 < said <= after + 1:
                return
            self.assertLess(time.monotonic(), deadline, f"it says {said} between {before} and {after}")
            time.sleep(3)

    def test_its_clock_follows_after_its_engine_was_stopped(self) -> None:
        made = self.create("sleeper")
        os.kill(made["engine_pid"], signal.SIGSTOP)
        try:
            time.sleep(15)
        finally:
            os.kill(made["engine_pid"], signal.SIGCONT)
        self.clock_becomes_right("sleeper")

    def test_its_clock_follows_after_its_cpus_stood_still_without_anybody_knowing(self) -> None:
        made = self.create("still")
        if not made["engine"].startswith("qemu"):
            self.skipTest("needs QEMU's monitor")
        # Once for guestd to have seen the host's time.
        time.sleep(12)
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.connect(str(Path(HOME, "runs", made["id"], "engine", "qmp.sock")))
            lines = monitor.makefile("rw")
            for command in ("qmp_capabilities", "stop", "cont"):
                if command == "cont":
                    time.sleep(15)
                lines.write(json.dumps({"execute": command}) + "\n")
                lines.flush()
                while "return" not in json.loads(lines.readline()):
                    pass
        self.clock_becomes_right("still")

    def test_one_that_was_killed_comes_back_with_its_disk(self) -> None:
        self.create("victim", "--scratch", "16M")
        self.run_in("victim", "echo kept > /scratch/f; sync")
        self.done("vm", "kill", "victim")
        self.assertEqual(self.state("victim"), "stopped")
        self.assertEqual(self.done("gc", "--json") and self.state("victim"), "stopped")
        started = fireclaw("vm", "start", "victim")
        self.assertEqual(started.returncode, 0, started.stderr)
        self.assertEqual(self.run_in("victim", "cat /scratch/f"), "kept\n")

    def test_it_is_paused_and_resumed_and_started_when_it_runs(self) -> None:
        self.create("one")
        self.done("vm", "pause", "one")
        self.assertEqual(self.state("one"), "paused")
        self.assertIn("fireclaw vm resume one", self.refused("vm", "exec", "one", "true"))
        self.done("vm", "resume", "one")
        self.assertEqual(self.state("one"), "running")
        self.done("vm", "pause", "one")
        self.done("vm", "start", "one")
        self.assertEqual(self.run_in("one", "echo on"), "on\n")

    def test_its_name_changes_while_it_runs(self) -> None:
        self.create("before")
        self.made.append("after")
        self.done("vm", "rename", "before", "after")
        self.assertEqual(self.run_in("after", "hostname"), "before\n")
        self.assertIn("fireclaw vm list", self.refused("vm", "exec", "before", "true"))
        self.done("vm", "stop", "after")
        self.assertEqual(self.state("after"), "stopped")

    def test_a_fork_goes_on_from_where_the_first_one_is(self) -> None:
        self.create("first", "--scratch", "16M")
        self.run_in("first", "echo memory > /root/f; echo disk > /scratch/f")
        self.made.append("second")
        self.done("vm", "fork", "first", "second")
        self.assertEqual(self.run_in("second", "cat /root/f /scratch/f; hostname"), "memory\ndisk\nsecond\n")
        self.run_in("second", "echo other > /scratch/f")
        self.assertEqual(self.run_in("first", "cat /scratch/f; hostname"), "disk\nfirst\n")

    def test_a_snapshot_of_it_is_what_others_start_from(self) -> None:
        self.create("saved")
        self.run_in("saved", "echo there > /root/f")
        self.addCleanup(fireclaw, "snapshot", "remove", "of-saved")
        self.done("vm", "snapshot", "saved", "of-saved")
        self.create("again", "--snapshot", "of-saved")
        self.assertEqual(self.run_in("again", "cat /root/f; hostname"), "there\nagain\n")

    def test_its_time_passes_and_it_is_stopped_by_who_looks_next(self) -> None:
        self.create("brief", "--ttl", "1s")
        time.sleep(1.1)
        self.assertEqual(self.state("brief"), "stopped")

    def test_one_that_nobody_uses_is_paused_and_resumes_with_the_next_use(self) -> None:
        self.create("idle", "--idle", "4s")
        time.sleep(4.5)
        self.assertEqual(self.state("idle"), "paused")
        self.assertEqual(self.run_in("idle", "echo awake"), "awake\n")
        self.assertEqual(self.state("idle"), "running")

    def test_a_name_that_cannot_be_one_is_refused(self) -> None:
        for name in ("a/b", "a_b", "0123456789abcdef", "a" * 64, "b-"):
            self.assertIn("cannot be a machine's name", self.refused("vm", "create", name))
        self.assertIn("fireclaw vm list", self.refused("vm", "inspect", "nobody"))


class Use(Machines):
    """Tests that share a machine."""

    @classmethod
    def setUpClass(cls) -> None:
        made = fireclaw("vm", "create", "shared")
        cls.addClassCleanup(fireclaw, "vm", "rm", "--force", "shared")
        assert made.returncode == 0, made.stderr
        assert made.stdout.startswith("shared: running, VM "), made.stdout

    def test_words_after_the_name_are_a_program_and_one_is_a_shell_line(self) -> None:
        self.assertEqual(self.run_in("shared", "echo $((6 * 7)) | cat"), "42\n")
        self.assertEqual(self.run_in("shared", "echo", "-n", "-u", "$HOME"), "-u $HOME")
        self.assertEqual(self.run_in("shared", "--", "echo", "a  b"), "a  b\n")
        self.assertEqual(self.done("vm", "exec", "-u", "nobody", "-e", "A=1", "shared", "sh", "-c", "id -un; echo $A"),
                         "nobody\n1\n")
        self.assertEqual(self.run_in("shared", "-w", "/tmp", "pwd", "-P"), "/tmp\n")

    def test_status_and_streams_are_the_commands(self) -> None:
        result = fireclaw("vm", "exec", "shared", "echo out; echo err >&2; exit 7")
        self.assertEqual((result.returncode, result.stdout, result.stderr), (7, "out\n", "err\n"))
        self.assertEqual(fireclaw("vm", "exec", "-t", "0.5", "shared", "sleep 100").returncode, 124)
        report = json.loads(fireclaw("vm", "exec", "--json", "shared", "echo out; exit 3").stdout)
        self.assertEqual((report["status"], report["stdout"]), (3, "out\n"))

    def test_input_from_a_pipe_reaches_commands_and_shells(self) -> None:
        self.assertEqual(self.run_in("shared", "cat", stdin="abc"), "abc")
        self.assertEqual(self.done("vm", "shell", "shared", stdin="echo $0; exit 0\n").splitlines()[-1].strip("-"), "sh")

    def test_it_in_one_word_is_a_terminal_with_input(self) -> None:
        for words in (("vm", "exec", "-it", "shared", "sh", "-c", "tty; read line; echo got-$line"),
                      ("vm", "exec", "shared", "-ti", "tty; read line; echo got-$line")):
            with self.subTest(words=words):
                pid, master = pty.fork()
                if pid == 0:
                    argv = arguments(*words)
                    os.execv(argv[0], argv)
                seen = self.read_until(master, b"", b"/dev/pts/")
                os.write(master, b"typed\r")
                self.read_until(master, seen, b"got-typed")
                _, status = os.waitpid(pid, 0)
                os.close(master)
                self.assertEqual(os.waitstatus_to_exitcode(status), 0)

    def read_until(self, fd: int, seen: bytes, text: bytes) -> bytes:
        end = time.monotonic() + 60
        while text not in seen:
            self.assertLess(time.monotonic(), end, seen)
            if not select.select([fd], [], [], 1)[0]:
                continue
            try:
                seen += os.read(fd, 4096)
            except OSError:
                break
        self.assertIn(text, seen)
        return seen

    def test_a_terminal_whose_input_has_ended_ends_a_shell_and_what_it_starts(self) -> None:
        for words in (("run", "-it", "sh"), ("vm", "exec", "-it", "shared", "sh"), ("run", "-it", "cat; cat; sh"),
                      ("run", "-it", "sh -c 'sleep 1; cat'; sh")):
            with self.subTest(words=words):
                self.assertEqual(fireclaw(*words).returncode, 0)
                self.assertEqual(fireclaw(*words, stdin="").returncode, 0)

    def test_a_detached_command_runs_by_itself_and_is_listed_shown_and_ended(self) -> None:
        job = self.done("vm", "exec", "-d", "shared", "sh", "-c", "echo begun; sleep 1000").strip()
        self.assertRegex(job, r"^job-\d+$")
        other = json.loads(self.done("vm", "exec", "-d", "--json", "shared", "echo said; exit 3"))["job"]
        self.assertNotEqual(job, other)
        attached = fireclaw("vm", "attach", "shared", other)
        self.assertEqual((attached.returncode, attached.stdout), (3, "said\n"), attached.stderr)
        third = self.done("vm", "exec", "-d", "shared", "n=0; while [ $n -lt 30 ]; do n=$((n+1)); echo line $n; sleep 0.05; done; "
                          "head -c 300000 /dev/zero | tr '\\0' x; exit 4").strip()
        attached = fireclaw("vm", "attach", "shared", third)
        self.assertEqual((attached.returncode, attached.stderr), (4, ""))
        self.assertEqual(attached.stdout, "".join(f"line {n}\n" for n in range(1, 31)) + "x" * 300000)
        again = json.loads(fireclaw("vm", "attach", "--json", "shared", third).stdout)
        self.assertEqual((again["status"], len(again["log"])), (4, len(attached.stdout)))
        jobs = {one["name"]: one for one in json.loads(self.done("vm", "ps", "shared", "--json"))}
        self.assertEqual((jobs[job]["state"], jobs[other]["state"], jobs[other]["exit_code"]), ("running", "failed", 3))
        self.assertEqual(self.done("vm", "logs", "shared", other), "said\n")
        self.assertEqual(set(json.loads(self.done("vm", "logs", "shared", "--json"))), {"console", "name"})
        self.done("vm", "kill", "shared", "--job", job)
        ended = {one["name"]: one["state"] for one in json.loads(self.done("vm", "ps", "shared", "--json"))}
        self.assertNotEqual(ended[job], "running")
        self.assertIn("fireclaw vm ps shared", self.refused("vm", "logs", "shared", "job-99"))
        self.assertIn("no terminal", self.refused("vm", "exec", "-d", "-it", "shared", "sh"))

    def test_what_it_uses_is_shown(self) -> None:
        self.assertRegex(self.done("vm", "stats", "shared"), r"NAME .*CPU .*MEMORY.*\nshared +running +[\d.]+% +")
        seen = json.loads(self.done("vm", "stats", "--json"))
        self.assertGreater([one for one in seen if one["name"] == "shared"][0]["memory_bytes"], 0)

    def test_how_busy_it_is_is_measured_also_right_after_its_start(self) -> None:
        self.create("busy")
        self.run_in("busy", "for i in 1 2 3 4; do while :; do :; done & done; exit 0")
        share = float(self.done("vm", "stats", "busy").splitlines()[1].split()[2].rstrip("%"))
        # One virtual CPU and what the engine does beside it; a start counts for none of it.
        self.assertTrue(5 < share < 200, share)

    def test_files_are_copied_both_ways(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "src").mkdir()
            Path(folder, "src", "f").write_text("abc")
            self.done("vm", "cp", f"{folder}/src", "shared:/root")
            self.assertEqual(self.run_in("shared", "cat /root/src/f"), "abc")
            self.done("vm", "cp", "shared:/root/src/f", f"{folder}/back")
            self.assertEqual(Path(folder, "back").read_text(), "abc")
            self.assertEqual(json.loads(self.done("vm", "cp", "--json", f"{folder}/back", "shared:/root/b"))["bytes"], 3)
            self.assertIn("/no/such", self.refused("vm", "cp", "/no/such", "shared:/root"))
            self.done("vm", "cp", "--mode", "4710", "--chown", "12:34", f"{folder}/back", "shared:/root/tool")
            self.assertEqual(self.run_in("shared", "stat -c '%a %u:%g' /root/tool"), "4710 12:34\n")
            self.assertIn("octal", self.refused("vm", "cp", "--mode", "u+x", f"{folder}/back", "shared:/root/tool"))
            self.assertIn("into a machine", self.refused("vm", "cp", "--mode", "600", "shared:/root/b", f"{folder}/c"))
        self.assertIn("in a machine", self.refused("vm", "cp", "/a", "/b"))
        self.assertIn("begins with a slash", self.refused("vm", "cp", "/etc/hosts", "shared:x"))

    def test_a_name_goes_where_an_id_does(self) -> None:
        found = self.inspect("shared")
        self.assertEqual(self.inspect(found["id"])["name"], "shared")
        self.assertEqual(self.done("vm", "exec", found["id"], "echo by-id"), "by-id\n")
        self.addCleanup(fireclaw, "snapshot", "remove", "by-name")
        self.done("snapshot", "create", "by-name", "--of", "shared")
        for words in (("vm", "exec", "sh"), ("vm", "start", ""), ("snapshot", "create", "--of", "")):
            offered = subprocess.run([FIRECLAW, "__complete", *words], capture_output=True, text=True,
                                     timeout=LIMIT_SECONDS, env={**os.environ, "FIRECLAW_HOME": HOME})
            self.assertIn("shared\t", offered.stdout)

    def test_what_is_used_at_once_does_not_wait(self) -> None:
        slow = subprocess.Popen(arguments("vm", "exec", "shared", "echo up; read line"), stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE)
        assert slow.stdin is not None and slow.stdout is not None
        self.assertEqual(slow.stdout.readline(), b"up\n")
        self.assertEqual(self.run_in("shared", "echo beside"), "beside\n")
        slow.communicate(b"\n", LIMIT_SECONDS)
        self.assertEqual(slow.returncode, 0)


class Several(Machines):
    def test_what_fails_for_one_of_several_is_done_with_the_others(self) -> None:
        for name in ("one", "two"):
            self.create(name)
        result = fireclaw("vm", "stop", "one", "nobody", "two")
        self.assertEqual((result.returncode, result.stderr.count("\n")), (125, 1), result.stderr)
        self.assertIn("nobody", result.stderr)
        self.assertEqual({self.state("one"), self.state("two")}, {"stopped"})
        self.assertEqual([one["state"] for one in json.loads(self.done("vm", "start", "one", "two", "--json"))], 2 * ["running"])
        names = self.done("ps", "-aq").split()
        self.assertLessEqual({"one", "two"}, set(names))
        result = fireclaw("vm", "rm", "-f", "one", "nobody", "two", "--json")
        self.assertEqual((result.returncode, json.loads(result.stdout)), (125, {"removed": ["one", "two"]}))
        self.assertFalse({"one", "two"} & set(self.listed()))

    def test_an_id_is_known_by_its_beginning(self) -> None:
        made = self.create("dev")["id"]
        self.assertEqual(self.run_in(made[:6], "hostname"), "dev\n")
        self.assertEqual(json.loads(self.done("vm", "inspect", made[:6]))["name"], "dev")
        self.assertIn(made[:3], self.refused("vm", "exec", made[:3], "true"))
        self.done("vm", "rm", "-f", made[:6])
        self.assertNotIn("dev", self.listed())

    def test_the_log_of_the_only_command_needs_no_name(self) -> None:
        self.made.append("web")
        self.done("run", "-d", "--name", "web", "echo one; echo two; sleep 1000")
        self.wait_for_log("web", "one\ntwo\n")
        self.assertEqual(self.done("vm", "logs", "--tail", "1", "web"), "two\n")
        # A log that has become too long goes on in a new file.
        self.run_in("web", "printf '%s\\n' minus zero > /var/log/fireclaw/job-1.log.1")
        self.assertEqual(self.done("vm", "logs", "web", "job-1"), "minus\nzero\none\ntwo\n")
        self.assertEqual([self.done("vm", "logs", "--tail", str(lines), "web") for lines in (2, 3, 9)],
                         ["one\ntwo\n", "zero\none\ntwo\n", "minus\nzero\none\ntwo\n"])
        self.run_in("web", "rm /var/log/fireclaw/job-1.log.1")
        following = subprocess.Popen(arguments("vm", "logs", "-f", "web"), stdout=subprocess.PIPE, text=True)
        self.addCleanup(following.wait)
        self.addCleanup(following.kill)
        patience = threading.Timer(LIMIT_SECONDS, following.kill)
        patience.start()
        self.addCleanup(patience.cancel)
        assert following.stdout
        self.assertEqual([following.stdout.readline(), following.stdout.readline()], ["one\n", "two\n"])
        following.terminate()
        following.communicate(timeout=LIMIT_SECONDS)
        self.assertIn("what job-1 has written: fireclaw vm logs web job-1", fireclaw("vm", "logs", "web").stderr)
        for _ in range(9):
            self.done("vm", "exec", "-d", "web", "true")
        self.assertEqual([job["name"] for job in json.loads(self.done("vm", "ps", "web", "--json"))],
                         [f"job-{number}" for number in range(1, 11)])
        self.assertIn("'web' has 10 detached commands", self.refused("vm", "logs", "-f", "web"))


class Habits(Machines):
    def test_a_copy_to_or_from_a_pipe_says_what_does_it(self) -> None:
        self.assertIn("tar -c . | fireclaw vm exec", self.refused("vm", "cp", "-", "dev:/tmp"))

    def test_minus_t_is_a_time_and_says_what_a_terminal_is(self) -> None:
        for words in (("run", "-t", "sh"), ("vm", "exec", "-i", "-t", "sh", "nobody", "true")):
            self.assertIn("-it", self.refused(*words))

    def test_nothing_is_read_if_asked(self) -> None:
        self.assertEqual(self.done("run", "--no-stdin", "cat; echo end", stdin="input"), "end\n")

    def test_a_run_can_be_let_go_with_a_machine_that_stays(self) -> None:
        self.made.append("kept")
        self.assertEqual(self.done("run", "--detach", "--name", "kept", "echo begun; sleep 1000"), "kept\n")
        self.assertEqual(self.listed()["kept"]["state"], "running")
        self.wait_for_log("kept", "begun\n")
        self.assertIn("--detach", self.refused("run", "--name", "kept", "true"))
        self.assertIn("--copy-out", self.refused("run", "-d", "--copy-out", "/a:b", "true"))

    def test_a_fresh_machine_can_have_a_disk(self) -> None:
        result = fireclaw("run", "--scratch", "16M", "df -m /scratch | tail -n 1")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("/scratch", result.stdout)

    def test_short_words_are_the_long_ones(self) -> None:
        for group in ("image", "snapshot", "workspace", "agent", "vm"):
            self.assertEqual(self.done(group, "ls", "--json"), self.done(group, "list", "--json"))
            self.assertIn("remove, rm", self.done(group, "--help"))
        self.assertEqual(self.done("ps", "--json"), self.done("vm", "list", "--json"))

    @unittest.skipIf(Path(HOME, "images", "debian-agent").exists(), "the agents' image is there")
    def test_an_agent_without_its_image_says_how_to_make_it(self) -> None:
        self.assertIn("fireclaw setup --agents", self.refused("agent", "start", "worker"))

    def test_an_overseer_without_a_server_says_how_to_start_one(self) -> None:
        with tempfile.TemporaryDirectory() as home, socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))  # nobody listens on it
            Path(home, "overseer.json").write_text(json.dumps({"server": "127.0.0.1", "port": taken.getsockname()[1]}))
            overseer = subprocess.Popen([FIRECLAW, "--home", home, "overseer"], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            assert overseer.stderr is not None
            said = ""
            for line in overseer.stderr:
                said += line
                if "no connection" in line:
                    break
            overseer.terminate()
            overseer.communicate(timeout=LIMIT_SECONDS)
            self.assertIn("to serve IRC here run: fireclaw irc", said)


if __name__ == "__main__":
    unittest.main()

"""The fireclaw program as its users call it: real machines, real signals, real pipes."""

import base64
import json
import os
import pty
import select
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest
import xml.etree.ElementTree
from pathlib import Path
from typing import Any, Optional

FIRECLAW = os.environ["FIRECLAW_PROGRAM"]
HOME = os.environ.get("FIRECLAW_TEST_HOME") or os.environ["FIRECLAW_BUILD_HOME"]
LIMIT_SECONDS = 120
# Tests change nothing in the network namespace that they are started in.
os.environ["FIRECLAW_NET"] = "none"


def arguments(*words: str, home: str = HOME) -> list[str]:
    common = [FIRECLAW, "--home", home]
    if engine := os.environ.get("FIRECLAW_TEST_ENGINE"):
        common += ["--engine", engine]
    return [*common, *words]


def fireclaw(*words: str, home: str = HOME, stdin: Optional[bytes] = None,
             environment: Optional[dict[str, str]] = None) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(arguments(*words, home=home), input=stdin, capture_output=True, timeout=LIMIT_SECONDS,
                          env={**os.environ, **(environment or {})},
                          stdin=subprocess.DEVNULL if stdin is None else None)


def machines() -> list[dict[str, Any]]:
    return json.loads(fireclaw("vm", "list", "--json").stdout)


def running(pid: int) -> bool:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return text.rpartition(")")[2].split()[0] != "Z"


def wait_until(condition: Any, seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return bool(condition())


def engines_of_home() -> list[int]:
    """Also those that the kernel is still taking down, whose folder is gone."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            folder = os.readlink(f"/proc/{entry}/cwd")
        except OSError:
            continue
        if folder.startswith(os.path.join(os.path.realpath(HOME), "runs") + "/"):
            found.append(int(entry))
    return found


class Run(unittest.TestCase):
    def test_a_shell_line_runs_in_a_kernel_of_its_own(self) -> None:
        result = fireclaw("run", "uname -a")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn(b"Linux", result.stdout)
        self.assertNotIn(os.uname().release.encode(), result.stdout)
        self.assertEqual(result.stderr, b"")

    def test_after_two_dashes_comes_a_program_with_its_arguments(self) -> None:
        result = fireclaw("run", "--", "echo", "a  b", "-n", "$HOME")
        self.assertEqual(result.stdout, b"a  b -n $HOME\n")

    def test_outputs_are_kept_apart_and_the_status_is_the_commands(self) -> None:
        result = fireclaw("run", "echo out; echo err >&2; exit 42")
        self.assertEqual((result.returncode, result.stdout, result.stderr), (42, b"out\n", b"err\n"))

    def test_a_program_that_is_missing_or_not_executable_gives_127_and_126(self) -> None:
        self.assertEqual(fireclaw("run", "--", "no-such-program").returncode, 127)
        self.assertEqual(fireclaw("run", "--", "/etc/passwd").returncode, 126)

    def test_a_pipe_is_passed_on_as_stdin(self) -> None:
        data = os.urandom(300_000)
        self.assertEqual(fireclaw("run", "cat", stdin=data).stdout, data)

    def test_a_timeout_ends_the_command_with_124(self) -> None:
        began = time.monotonic()
        result = fireclaw("run", "--timeout", "1500ms", "sleep 1000")
        self.assertEqual(result.returncode, 124)
        self.assertLess(time.monotonic() - began, 30)
        self.assertIn(b"--timeout", result.stderr)

    def test_environment_directory_and_user_reach_the_command(self) -> None:
        result = fireclaw("run", "-e", "A=1 2", "-e", "B=x", "-w", "/tmp", "-u", "nobody", 'echo "$A|$B"; pwd; id -un')
        self.assertEqual(result.stdout, b"1 2|x\n/tmp\nnobody\n")

    def test_verbose_names_each_phase_with_its_time(self) -> None:
        result = fireclaw("run", "-v", "true")
        for word in (b"open", b"command", b"total", b" ms"):
            self.assertIn(word, result.stderr)

    def test_json_holds_status_outputs_and_timings(self) -> None:
        result = fireclaw("run", "--json", "echo out; echo err >&2; exit 5")
        self.assertEqual(result.returncode, 5)
        report = json.loads(result.stdout)
        self.assertEqual((report["status"], report["stdout"], report["stderr"]), (5, "out\n", "err\n"))
        self.assertGreater(report["timings_ms"]["total"], 0)
        self.assertEqual(report["vm"]["image"], "busybox")

    def test_files_are_copied_in_before_and_out_after(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "in").mkdir()
            Path(folder, "in", "data").write_text("abc")
            result = fireclaw("run", "--copy-in", f"{folder}/in:/work", "-w", "/work", "tr a-z A-Z < data > result",
                              "--copy-out", f"/work/result:{folder}/out")
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual(Path(folder, "out").read_text(), "ABC")

    def test_a_cold_boot_works_too(self) -> None:
        result = fireclaw("run", "--no-snapshot", "echo cold")
        self.assertEqual((result.returncode, result.stdout), (0, b"cold\n"), result.stderr)

    def test_a_tty_is_a_terminal_whose_size_follows_ours(self) -> None:
        pid, master = pty.fork()
        if pid == 0:
            line = "trap 'stty size' WINCH; stty size; while :; do read -t 1 x && exit $x; done"
            words = arguments("run", "-i", "--tty", line)
            os.execv(words[0], words)
        seen = b""

        def read_until(text: bytes) -> bool:
            nonlocal seen
            end = time.monotonic() + 60
            while text not in seen and time.monotonic() < end:
                if select.select([master], [], [], 1)[0]:
                    try:
                        seen += os.read(master, 4096)
                    except OSError:
                        break
            return text in seen

        import fcntl
        import struct
        import termios
        self.assertTrue(read_until(b" "), seen)
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 31, 97, 0, 0))
        self.assertTrue(read_until(b"31 97"), seen)
        os.write(master, b"9\r")
        _, status = os.waitpid(pid, 0)
        os.close(master)
        self.assertEqual(os.waitstatus_to_exitcode(status), 9)

    def test_ctrl_c_ends_the_command_and_the_machine(self) -> None:
        process = subprocess.Popen(arguments("run", "echo up; sleep 1000"), stdout=subprocess.PIPE,
                                   stdin=subprocess.DEVNULL)
        assert process.stdout is not None
        self.assertEqual(process.stdout.readline(), b"up\n")
        before = machines()
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(LIMIT_SECONDS), 130)
        process.stdout.close()
        self.assertEqual(len(before), 1)
        self.assertTrue(wait_until(lambda: not running(before[0]["engine_pid"])))
        self.assertEqual(machines(), [])

    def test_a_reader_that_goes_away_ends_the_run(self) -> None:
        process = subprocess.Popen(arguments("run", "yes"), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   stdin=subprocess.DEVNULL)
        assert process.stdout is not None and process.stderr is not None
        process.stdout.read(100)
        process.stdout.close()
        self.assertEqual(process.wait(LIMIT_SECONDS), 141)
        self.assertEqual(process.stderr.read(), b"")
        process.stderr.close()

    def test_a_reader_that_has_seen_enough_ends_it_without_a_word(self) -> None:
        for words in (("run", "while :; do echo line; done"), ("run", "--help"), ("image", "list", "--json")):
            with self.subTest(words=words):
                read, write = os.pipe()
                process = subprocess.Popen(arguments(*words), stdin=subprocess.DEVNULL, stdout=write, stderr=subprocess.PIPE)
                os.close(write)
                if words[0] == "run" and "--help" not in words:
                    self.assertEqual(os.read(read, 4), b"line")
                os.close(read)
                _, complaint = process.communicate(timeout=LIMIT_SECONDS)
                self.assertEqual(complaint, b"")
                self.assertIn(process.returncode, (0, 141))

    def test_output_that_cannot_be_written_is_never_a_success(self) -> None:
        for words in (("run", "--json", "true"), ("image", "list"), ("image", "list", "--json"), ("doctor",), ("snapshot", "list"),
                      ("--version",), ("--help",)):
            with self.subTest(words=words), open("/dev/full", "wb") as full:
                result = subprocess.run(arguments(*words), stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE,
                                        timeout=LIMIT_SECONDS)
                self.assertNotEqual(result.returncode, 0)
                self.assertIn(b"No space left", result.stderr)

    def test_a_closed_standard_descriptor_is_as_dev_null(self) -> None:
        for number, line, expected in ((0, "cat; echo done", (0, b"done\n", b"")), (1, "echo out; echo err >&2; exit 3", (3, b"", b"err\n")),
                                       (2, "echo out; echo err >&2; exit 3", (3, b"out\n", b""))):
            with self.subTest(closed=number):
                result = subprocess.run(arguments("run", line), stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT_SECONDS,
                                        preexec_fn=lambda: os.close(number))
                self.assertEqual((result.returncode, result.stdout, result.stderr), expected)

    def test_output_that_is_not_text_is_in_json_byte_for_byte(self) -> None:
        report = json.loads(fireclaw("run", "--json", "printf '\\377\\000\\303'; echo text >&2").stdout)
        self.assertEqual(base64.b64decode(report["stdout_base64"]), b"\xff\0\xc3")
        self.assertEqual(report["stderr"], "text\n")
        self.assertNotIn("stderr_base64", report)

    def test_input_without_a_last_newline_ends_a_command_on_a_terminal(self) -> None:
        for text, line, shown in ((b"abc", "cat", b"abcabc"), (b"a\nbc", "wc -c", b"4"), (b"", "cat", b""), (b"a\n", "cat", b"a")):
            with self.subTest(text=text):
                result = fireclaw("run", "-t", "20", "--tty", line, stdin=text)
                self.assertEqual(result.returncode, 0, result.stdout)
                self.assertIn(shown, result.stdout)

    def test_a_fraction_of_a_second_is_a_timeout(self) -> None:
        self.assertEqual(fireclaw("run", "-t", "0.5", "sleep 1000").returncode, 124)

    def test_ctrl_c_ends_a_snapshot_that_is_being_made_with_nothing_left(self) -> None:
        process = subprocess.Popen(arguments("snapshot", "create", "never-made", "--memory", "300"), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertTrue(wait_until(lambda: any(machine["engine_pid"] for machine in machines())))
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=LIMIT_SECONDS)
        self.assertEqual(process.returncode, 128 + signal.SIGINT)
        self.assertLess(time.monotonic() - began, 5)
        self.assertNotIn(b"never-made", fireclaw("snapshot", "list").stdout)
        self.assertEqual([path.name for path in Path(HOME, "snapshots").iterdir() if "never-made" in path.name], [])

    def test_killed_at_any_moment_it_takes_its_machine_with_it(self) -> None:
        for delay in (0.0, 0.005, 0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 0.6, 1.2):
            process = subprocess.Popen(arguments("run", "sleep 1000"), stdin=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL)
            time.sleep(delay)
            engines = [machine["engine_pid"] for machine in machines()]
            process.kill()
            process.wait(LIMIT_SECONDS)
            for engine in engines:
                self.assertTrue(wait_until(lambda pid=engine: not running(pid)))
        fireclaw("gc")
        self.assertEqual(os.listdir(Path(HOME, "runs")), [])
        self.assertEqual(fireclaw("gc").stdout, b"nothing to clean up\n")

    def test_killed_while_it_ends_it_leaves_nothing_either(self) -> None:
        for delay in (0.0, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032):
            process = subprocess.Popen(arguments("run", "echo done"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                       stderr=subprocess.DEVNULL)
            assert process.stdout is not None
            self.assertEqual(process.stdout.readline(), b"done\n")
            time.sleep(delay)
            process.kill()
            process.communicate(timeout=LIMIT_SECONDS)
            self.assertTrue(wait_until(lambda: not engines_of_home()))
        fireclaw("gc")
        self.assertEqual(os.listdir(Path(HOME, "runs")), [])

    def test_what_it_leaves_to_the_kernel_is_no_file_and_ends_by_itself(self) -> None:
        for _ in range(3):
            self.assertEqual(fireclaw("run", "true").returncode, 0)
            self.assertEqual(os.listdir(Path(HOME, "runs")), [])
        self.assertTrue(wait_until(lambda: not engines_of_home()))

    def test_a_restored_machine_reads_no_shell_from_its_disk(self) -> None:
        # Not the home's own snapshot, which an earlier version may have made.
        made = fireclaw("snapshot", "create", "fresh")
        self.addCleanup(fireclaw, "snapshot", "remove", "fresh")
        self.assertEqual(made.returncode, 0, made.stderr)
        # Major faults of a program that is one file with the image's shell.
        words = ("run", "--snapshot", "fresh", "--", "cut", "-d", " ", "-f", "12", "/proc/self/stat")
        self.assertEqual(fireclaw(*words).stdout, b"0\n")

    def test_twenty_at_once_all_succeed(self) -> None:
        outputs: list[bytes] = []

        def one() -> None:
            result = fireclaw("run", "cat /etc/machine-id")
            outputs.append(result.stdout if result.returncode == 0 else b"")

        threads = [threading.Thread(target=one) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(set(outputs)), 20)
        self.assertNotIn(b"", outputs)


class Refusals(unittest.TestCase):
    def refused(self, *words: str, home: str = HOME) -> str:
        result = fireclaw(*words, home=home)
        text = result.stderr.decode()
        self.assertEqual(result.returncode, 125, text)
        self.assertEqual(result.stdout, b"")
        self.assertTrue(text.startswith("fireclaw: "), text)
        self.assertEqual(text.count("\n"), 1, text)
        return text

    def test_before_setup_the_remedy_is_named(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            self.assertIn("fireclaw setup", self.refused("run", "true", home=f"{folder}/home"))

    def test_names_that_are_none_are_refused(self) -> None:
        for name in ("../x", "", "a" * 300, "-x", "a/b", "a\nb"):
            self.refused("run", f"--image={name}", "true")
            self.refused("snapshot", "remove", "--", name)
            self.refused("image", "remove", "--", name)
            self.refused("vm", "kill", "--", name)

    def test_unknown_names_are_reported_with_where_to_look(self) -> None:
        self.assertIn("fireclaw image", self.refused("run", "--image", "nothing", "true"))
        self.assertIn("fireclaw snapshot list", self.refused("run", "--snapshot", "nothing", "true"))
        self.assertIn("fireclaw vm list", self.refused("vm", "kill", "0123456789abcdef"))

    def test_options_that_make_no_sense_are_refused(self) -> None:
        self.refused("run")
        self.refused("run", "two", "words")
        self.refused("run", "--timeout", "soon", "true")
        self.refused("run", "--memory", "much", "true")
        self.refused("run", "--net", "wireless", "true")
        self.refused("run", "-e", "NOEQUALS", "true")
        self.refused("run", "--copy-in", "nocolon", "true")
        self.refused("run", "--no-such-option", "true")
        self.refused("--engine", "steam", "run", "true")
        self.refused("no-such-command")
        self.refused()

    def test_a_torn_configuration_is_named_and_left_alone(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            fireclaw("doctor", home=folder)
            config = Path(folder, "config.json")
            config.write_text('{"schema": 1, "default_')
            self.assertIn("config.json", self.refused("doctor", home=folder))
            self.assertEqual(config.read_text(), '{"schema": 1, "default_')

    @unittest.skipUnless(os.geteuid() == 0, "only root can mount a small file system")
    def test_a_disk_that_is_full_leaves_no_snapshot_behind(self) -> None:
        # In a mount namespace of its own: nobody else sees the small disk.
        script = 'mount -t tmpfs -o size=6m none "$1/snapshots" && shift && "$@"; s=$?; ls -A "$0/snapshots"; exit $s'
        result = subprocess.run(["unshare", "--mount", "sh", "-c", script, HOME, HOME,
                                 *arguments("snapshot", "create", "too-big")],
                                capture_output=True, text=True, timeout=LIMIT_SECONDS, stdin=subprocess.DEVNULL)
        self.assertEqual(result.returncode, 125, result.stderr)
        self.assertIn("full", result.stderr)
        self.assertEqual(result.stdout, "")
        self.assertEqual(machines(), [])

    def test_a_missing_file_to_copy_is_named_and_no_machine_stays(self) -> None:
        self.assertIn("/no/such/file", self.refused("run", "--copy-in", "/no/such/file:/x", "true"))
        self.assertEqual(machines(), [])


@unittest.skipUnless(subprocess.run(["unshare", "--net", "true"], capture_output=True).returncode == 0,
                     "no network namespace can be made")
class Networks(unittest.TestCase):
    """Each line of commands in a network namespace of its own."""

    @classmethod
    def setUpClass(cls) -> None:
        # The first network of a home says what it changes (trouble_test.py has that).
        subprocess.run(["unshare", "--net", *arguments("network", "up")], check=True, capture_output=True, timeout=LIMIT_SECONDS)

    def script(self, *lines: str) -> "subprocess.CompletedProcess[str]":
        words = arguments()
        shell = "set -e; ip link set lo up; fireclaw() { " + " ".join(words) + ' "$@"; }\n' + "\n".join(lines)
        environment = {name: value for name, value in os.environ.items() if name != "FIRECLAW_NET"}
        return subprocess.run(["unshare", "--net", "sh", "-c", shell], capture_output=True, text=True,
                              timeout=LIMIT_SECONDS, stdin=subprocess.DEVNULL, env=environment)

    def output(self, *lines: str) -> str:
        result = self.script(*lines)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stderr, "")
        return result.stdout

    def test_a_machine_has_an_address_unless_told_otherwise(self) -> None:
        report = json.loads(self.output("fireclaw run --json 'ip -4 -o address show dev eth0'"))
        self.assertEqual(report["vm"]["network"], "nat")
        self.assertIn(report["vm"]["address"] + "/24", report["stdout"])
        self.assertNotEqual(report["vm"]["snapshot"], "")
        self.assertEqual(self.output("fireclaw run --net none 'ls /sys/class/net'"), "lo\n")
        self.assertEqual(self.output("FIRECLAW_NET=none fireclaw run 'ls /sys/class/net'"), "lo\n")

    def test_a_published_port_answers(self) -> None:
        command = "printf '#!/bin/sh\\necho hello\\n' > /tmp/h; chmod +x /tmp/h; echo up; nc -l -p 80 -e /tmp/h"
        out = self.output("mkfifo /tmp/fireclaw-cli-$$", f'fireclaw run -p 8080:80 "{command}" > /tmp/fireclaw-cli-$$ &',
                          "exec 3< /tmp/fireclaw-cli-$$", "rm /tmp/fireclaw-cli-$$", "read line <&3",
                          "while ! busybox nc 127.0.0.1 8080 < /dev/null 2> /dev/null; do :; done", "wait")
        self.assertEqual(out, "hello\n")

    def test_options_for_nat_go_with_nothing_else(self) -> None:
        for words in ("--net user -p 80:80", "--net none --allow 192.0.2.1", "--net none --egress none"):
            result = self.script(f"fireclaw run {words} true")
            self.assertEqual(result.returncode, 125, result.stderr)
            self.assertIn("--net nat", result.stderr)
        self.assertIn("'wide'", self.script("fireclaw run --egress wide true").stderr)
        self.assertIn("'80'", self.script("fireclaw run -p 80 true").stderr)

    def test_the_network_is_shown_made_and_removed(self) -> None:
        show = json.loads(self.output("fireclaw network show --json"))
        self.assertEqual((show["usable"], show["up"], show["subnet"]), (True, False, "172.16.0.0/24"))
        out = self.output("fireclaw network up", "fireclaw network up", "fireclaw network show", "fireclaw network down",
                          "fireclaw network down", "ip -o link | wc -l", "nft list ruleset")
        self.assertIn("fcbr0 (up)", out)
        self.assertTrue(out.endswith("there was nothing to remove\n1\n"), out)

    def test_without_the_right_to_it_the_network_is_in_a_namespace_of_the_home_s(self) -> None:
        weak = "setpriv --bounding-set=-net_admin --inh-caps=-net_admin"
        program = " ".join(arguments())
        if shutil.which("pasta") is None:
            none = self.script(f"{weak} {program} run 'ls /sys/class/net'")
            self.assertEqual((none.returncode, none.stdout), (0, "lo\n"), none.stderr)
            self.assertEqual(none.stderr.count("the machine has no network"), 1, none.stderr)
            self.skipTest("pasta is not installed")
        result = self.script(f"{weak} {program} run 'ip -4 -o address show dev eth0'", "ip -o link | wc -l",
                             f"{weak} {program} network down")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertRegex(result.stdout, r"inet 172\.16\.0\.\d+/24[^\n]*\n1\n")


class Other(unittest.TestCase):
    def test_help_and_version_work_without_a_home(self) -> None:
        environment = {"HOME": "/nonexistent", "FIRECLAW_HOME": ""}
        version = subprocess.run([FIRECLAW, "--version"], capture_output=True, env=environment, timeout=LIMIT_SECONDS)
        self.assertRegex(version.stdout, rb"^fireclaw \d+\.\d+\.\d+\n$")
        for words in ([], ["run"], ["setup"], ["doctor"], ["snapshot", "create"], ["image", "build"], ["bench"], ["network"]):
            text = subprocess.run([FIRECLAW, *words, "--help"], capture_output=True, env=environment,
                                  timeout=LIMIT_SECONDS)
            self.assertEqual(text.returncode, 0)
            self.assertIn(b"Usage", text.stdout)

    def test_doctor_finds_all_well_after_setup(self) -> None:
        report = json.loads(fireclaw("doctor", "--json").stdout)
        self.assertTrue(report["ok"], report)
        names = [check["name"] for check in report["checks"]]
        self.assertIn("setup", names)
        self.assertTrue(any(name.startswith("engine") for name in names))
        self.assertEqual(fireclaw("doctor").returncode, 0)

    def test_doctor_names_what_is_missing_before_setup(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            result = fireclaw("doctor", home=f"{folder}/home")
            self.assertEqual(result.returncode, 1)
            self.assertIn(b"fix it with: fireclaw setup", result.stdout)

    def test_setup_has_nothing_to_do_the_second_time(self) -> None:
        began = time.monotonic()
        result = fireclaw("setup", "--json")
        self.assertEqual(result.returncode, 0, result.stderr)
        if "FIRECLAW_TEST_KERNEL" not in os.environ:
            self.assertTrue(json.loads(result.stdout)["already_done"])
            self.assertLess(time.monotonic() - began, 10)

    def test_snapshots_images_and_machines_are_listed(self) -> None:
        snapshots = json.loads(fireclaw("snapshot", "list", "--json").stdout)
        self.assertTrue(any(s["automatic"] and s["usable"] for s in snapshots))
        images = json.loads(fireclaw("image", "list", "--json").stdout)
        self.assertIn("busybox", [image["name"] for image in images])
        for words in (["snapshot", "list"], ["image", "list"], ["vm", "list"]):
            self.assertEqual(fireclaw(*words).returncode, 0)

    def test_bench_reports_each_series(self) -> None:
        result = fireclaw("bench", "--runs", "3", "--cold-runs", "1", "--concurrent", "2", "--json")
        self.assertEqual(result.returncode, 0, result.stderr)
        series = {one["name"]: one for one in json.loads(result.stdout)}
        self.assertEqual(set(series), {"restore-run", "cold-run", "warm-exec", "2 at once, each", "2 at once, all"})
        for one in series.values():
            self.assertGreater(one["p50_ms"], 0)
            self.assertLessEqual(one["p50_ms"], one["p99_ms"])
        self.assertLess(series["restore-run"]["p50_ms"], series["cold-run"]["p50_ms"])

    def test_bench_many_counts_and_draws(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            result = fireclaw("bench", "many", "3", "--at-once", "2", "--plot", f"{folder}/many.svg", "--json")
            self.assertEqual(result.returncode, 0, result.stderr)
            seen = json.loads(result.stdout)
            self.assertEqual((seen["machines"], seen["failed"], seen["first_failure"]), (3, 0, ""))
            self.assertLessEqual(seen["ready_p50_ms"], seen["ready_all_ms"])
            for key in ("ready_p50_ms", "cpu_each_ms", "private_bytes_each"):
                self.assertGreater(seen[key], 0)
            picture = xml.etree.ElementTree.parse(f"{folder}/many.svg").getroot()
            curves = [one.get("d", "") for one in picture.iter("{http://www.w3.org/2000/svg}path")
                      if one.get("class") == "curve"]
            # From nothing to each of the machines: three lines each.
            self.assertEqual([curve.count("L") for curve in curves], [3, 3])
        self.assertEqual(os.listdir(Path(HOME, "runs")), [])

    def test_bench_all_writes_a_page(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            # Emulated it takes a minute.
            words = arguments("bench", "all", "--runs", "1", "--most", "1", "--most-memory", "128", "--report",
                              f"{folder}/page.md", "--json")
            result = subprocess.run(words, capture_output=True, timeout=5 * LIMIT_SECONDS, stdin=subprocess.DEVNULL)
            self.assertEqual(result.returncode, 0, result.stderr)
            seen = json.loads(result.stdout)
            page = Path(folder, "page.md").read_text()
        sections = {one["title"]: one["rows"] for one in seen["sections"]}
        self.assertEqual(list(sections), ["`true`, as a whole program", "One machine", "Where the time of a run goes",
                                          "Machines at once", "Copies", "Memory size", "Gateway"])
        self.assertEqual(sections["`true`, as a whole program"][0]["program"], "fireclaw run")
        self.assertIn("in the guest: greeting", [row["step"] for row in sections["Where the time of a run goes"]])
        self.assertEqual([row["machines"] for row in sections["Machines at once"]], ["1"])
        self.assertEqual([row["copied"] for row in sections["Copies"]], ["in", "out"])
        self.assertEqual([row["memory"] for row in sections["Memory size"]], ["128 MiB"])
        self.assertIn(seen["machine"], page)
        for title, rows in sections.items():
            self.assertIn(f"## {title}\n", page)
            for row in rows:
                self.assertIn("| " + " | ".join(row.values()) + " |\n", page)
        self.assertNotIn("bench-", fireclaw("snapshot", "list").stdout.decode())

    def test_bench_many_says_what_failed(self) -> None:
        result = fireclaw("bench", "many", "2", "--memory", "131")
        self.assertEqual(result.returncode, 125)
        self.assertIn(b"all have failed", result.stderr)
        self.assertIn(b"snapshot", result.stderr)


if __name__ == "__main__":
    unittest.main()

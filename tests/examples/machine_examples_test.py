"""The examples that run commands in machines."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Optional

SOURCE = Path(os.environ["FIRECLAW_EXAMPLES"])
BUILT = Path(os.environ["FIRECLAW_BUILT_EXAMPLES"])
HOME = Path(os.environ.get("FIRECLAW_TEST_HOME") or os.environ["FIRECLAW_BUILD_HOME"])
ENVIRONMENT = {**os.environ, "FIRECLAW_HOME": str(HOME)}


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(word) for word in command], env=ENVIRONMENT, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=240, check=False)


class Cpp(unittest.TestCase):
    def test_run_command_passes_on_outputs_and_status(self) -> None:
        done = run(BUILT / "run_command", "echo out; echo err >&2; exit 7")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (7, "out\n", "err\n"))

    def test_run_command_says_what_fireclaw_says(self) -> None:
        with tempfile.TemporaryDirectory(prefix="fireclaw-examples-") as folder:
            done = subprocess.run([BUILT / "run_command"], env={**ENVIRONMENT, "FIRECLAW_HOME": folder},
                                  capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual((done.returncode, done.stdout), (125, ""))
        self.assertIn("fireclaw setup", done.stderr)

    def test_clones_have_the_same_memory_and_ten_identities(self) -> None:
        snapshots = sorted((HOME / "snapshots").iterdir())
        done = run(BUILT / "clone_snapshot")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        first, *lines = done.stdout.splitlines()
        word = first.removeprefix("the first machine: ")
        self.assertRegex(word, r"^[a-z]{12}, says process \d+$")
        clones = [re.match(r" *\d+ ms: (fc-\w{8}) (\w{8}): (.+)", line) for line in lines]
        names, machine_ids, words = zip(*(clone.groups() for clone in clones if clone))
        self.assertEqual((len(set(names)), len(set(machine_ids)), set(words)), (10, 10, {word}), done.stdout)
        self.assertEqual(sorted((HOME / "snapshots").iterdir()), snapshots)


class PoolMap(unittest.TestCase):
    def test_it_factors_numbers(self) -> None:
        done = run(sys.executable, SOURCE / "python" / "pool_map.py", "42", "3599")
        self.assertEqual(done.stdout, "42: 2 3 7\n3599: 59 61\n", done.stderr)


class CodeService(unittest.TestCase):
    process: subprocess.Popen[str]
    port: int

    def setUp(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, SOURCE / "python" / "code_service.py", "--listen", "127.0.0.1:0", "--machines", "2"],
            env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(self.process.wait)
        self.addCleanup(self.process.kill)
        assert self.process.stdout
        self.addCleanup(self.process.stdout.close)
        listening = self.process.stdout.readline()
        self.assertRegex(listening, r"^listening on 127\.0\.0\.1:\d+$")
        self.port = int(listening.rpartition(":")[2])

    def ask(self, method: str, path: str, body: Optional[bytes] = None,
            headers: dict[str, str] = {}) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            text = response.read()
            return response.status, json.loads(text) if text else None
        finally:
            connection.close()

    def run_line(self, line: object, **more: Any) -> tuple[int, Any]:
        return self.ask("POST", "/run", json.dumps({"command": line, **more}).encode())

    def end(self) -> str:
        self.process.send_signal(signal.SIGTERM)
        said, _ = self.process.communicate(timeout=60)
        self.assertEqual(self.process.returncode, 0)
        return said

    def test_requests_are_answered_and_limited(self) -> None:
        status, answer = self.run_line("read a; echo $a; id -un; echo no >&2; ip -o link | grep -cv lo:; exit 3", stdin="x\n")
        self.assertEqual((status, answer.pop("seconds") >= 0), (200, True))
        self.assertEqual(answer, {"status": 3, "stdout": "x\nnobody\n0\n", "stderr": "no\n", "timed_out": False,
                                  "truncated": False})
        _, other = self.run_line("sleep 60", timeout=0.5)
        self.assertTrue(other["timed_out"])
        _, long = self.run_line("yes | head -c 100000")
        self.assertEqual((long["truncated"], len(long["stdout"])), (True, 65536))
        self.assertEqual(self.run_line(5)[0], 400)
        self.assertEqual(self.run_line("true", user="root"), (400, {"error": "'user' cannot be 'root'"}))
        self.assertEqual(self.run_line("\ud800")[0], 500)
        self.assertEqual(self.ask("POST", "/run", b"{")[0], 400)
        self.assertEqual(self.ask("POST", "/run", b" " * 65537)[0], 413)
        self.assertEqual(self.ask("POST", "/run", None, {"Transfer-Encoding": "chunked"})[0], 411)
        self.assertEqual(self.ask("GET", "/run")[0], 404)
        self.assertEqual(list(self.ask("GET", "/health")[1]), ["ready"])
        self.assertEqual(self.end(), "ended\n")

    def test_a_request_too_many_is_sent_away_and_the_end_ends_those_that_run(self) -> None:
        def ask(method: str, path: str, body: Optional[bytes] = None) -> tuple[int, Any]:
            """Who is sent away may lose the answer: the service closes with the request unread."""
            try:
                return self.ask(method, path, body)
            except ConnectionResetError:
                return 503, None

        def insist() -> tuple[int, Any]:
            while (answer := ask("POST", "/run", json.dumps({"command": "sleep 9"}).encode())) == (503, None):
                pass
            return answer

        with ThreadPoolExecutor(2) as threads:
            running = [threads.submit(insist) for _ in range(2)]
            while (status := ask("GET", "/health")[0]) != 503:
                self.assertEqual(status, 200)
                self.assertFalse(any(request.done() for request in running), "nothing was sent away")
            self.assertEqual(self.end(), "ended\n")
            for request in running:
                self.assertEqual(request.result(60), (503, {"error": "the service ends"}))


if __name__ == "__main__":
    unittest.main()

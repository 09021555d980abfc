"""Asks the stand-in what a real Firecracker was asked, and compares the answers.

usage: replay.py FAKE_FIRECRACKER

answers.jsonl beside this file has what is known of the answers: status, words of the fault, whether the process ends. Where
recordings are at hand, the stand-in is held to these too, word for word: in the folder that FIRECLAW_FACTS_DIR names, or in
../shared beside the source tree.
"""

from __future__ import annotations

import http.client
import itertools
import json
import os
import pathlib
import select
import shutil
import socket
import subprocess
import sys
import tempfile
from typing import Any, Iterator

ANSWERS = pathlib.Path(__file__).with_name("answers.jsonl")
RECORDINGS = "firecracker-transcripts.jsonl"
LIMIT_S = 20.0


def facts_dir() -> pathlib.Path:
    named = os.environ.get("FIRECLAW_FACTS_DIR")
    if named:
        return pathlib.Path(named)
    return pathlib.Path(__file__).resolve().parents[3] / "shared"


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=LIMIT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(LIMIT_S)
        self.sock.connect(self._path)


class Process:
    """One stand-in, in a folder that holds what the recorded process had in its own."""

    def __init__(self, program: str, folder: pathlib.Path) -> None:
        self.socket = str(folder / "api.sock")
        pathlib.Path(self.socket).unlink(missing_ok=True)
        watch = subprocess.PIPE
        self.process = subprocess.Popen(
            [program, "--api-sock", "api.sock", "--id", "rec"], cwd=folder, stdout=watch, stderr=subprocess.STDOUT)
        self._await_api()

    def _await_api(self) -> None:
        poller = select.poll()
        poller.register(os.pidfd_open(self.process.pid), select.POLLIN)
        for _ in range(int(LIMIT_S * 1000)):
            try:
                with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                    probe.connect(self.socket)
                    return
            except (FileNotFoundError, ConnectionRefusedError):
                if poller.poll(1):
                    break
        raise SystemExit(f"the stand-in did not come up: {self.end()}")

    def ask(self, method: str, path: str, request: Any) -> tuple[int | None, Any]:
        body = None if request is None else request if isinstance(request, str) else json.dumps(request)
        connection = UnixConnection(self.socket)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read().decode()
            return answer.status, json.loads(text) if text else ""
        except OSError as error:
            return None, f"connection: {type(error).__name__}"
        finally:
            connection.close()

    def end(self) -> int:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate(timeout=LIMIT_S)
        return self.process.returncode

    def exit_status(self) -> int:
        self.process.communicate(timeout=LIMIT_S)
        return self.process.returncode


def damage_snapshot(folder: pathlib.Path) -> None:
    """The broken snapshots of the recordings, made from the good one."""
    state = bytearray((folder / "snap").read_bytes())
    (folder / "snapcut").write_bytes(state[: len(state) // 2])
    state[len(state) // 2] ^= 0xFF
    (folder / "snapbad").write_bytes(state)
    memory = (folder / "mem").stat().st_size
    with open(folder / "memcut", "wb") as cut:
        cut.truncate(memory // 2)


def scenarios(file: pathlib.Path, folder: pathlib.Path) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    # /nonexistent may be there: it is nobody's home folder, which a program that runs as nobody can make.
    absent = json.dumps(str(folder / "absent"))[1:-1]
    with open(file, encoding="utf-8") as lines:
        entries = [json.loads(line.replace("/nonexistent", absent)) for line in lines if line.strip()]
    for name, group in itertools.groupby(entries, lambda entry: entry["scenario"]):
        yield name, list(group)


def is_same(entry: dict[str, Any], status: int | None, answer: Any) -> bool:
    """A recording has the whole answer; otherwise the fault contains some words."""
    if status != entry["status"]:
        return False
    if "response" in entry:
        return answer == entry["response"]
    fault = answer.get("fault_message", "") if isinstance(answer, dict) else ""
    return entry.get("fault", "") in fault and (status == 400) == bool(fault)


def replay(program: str, folder: pathlib.Path, name: str, entries: list[dict[str, Any]]) -> list[str]:
    (folder / "v.sock").unlink(missing_ok=True)
    if "stale" in name:
        (folder / "v.sock").touch()
    process = Process(program, folder)
    problems = []
    for entry in entries:
        status, answer = process.ask(entry["method"], entry["path"], entry["request"])
        if "process_exit" in entry and (ended := process.exit_status()) != entry["process_exit"]:
            problems.append(f"{name}: ended with {ended}, recorded {entry['process_exit']}")
        if not is_same(entry, status, answer):
            what = f"{name}: {entry['method']} {entry['path']} {json.dumps(entry['request'])}"
            wanted = entry.get("response", entry.get("fault"))
            problems.append(f"{what}\n  expected {entry['status']} {wanted}\n  answered {status} {answer}")
    process.end()
    return problems


def play(fake_firecracker: str, file: pathlib.Path) -> tuple[int, list[str]]:
    folder = pathlib.Path(tempfile.mkdtemp(prefix="fireclaw-replay-"))
    problems: list[str] = []
    count = 0
    try:
        program = folder / "firecracker"
        program.symlink_to(fake_firecracker)
        # Another process had this tap open when the recordings were made.
        (folder / "firecracker.knobs").write_text("busy_tap=rectap\nno_guest=1\n")
        for name in ("loop.elf", "disk.img"):
            (folder / name).touch()
        for name, entries in scenarios(file, folder):
            if name.startswith("load") and not (folder / "snapbad").exists():
                damage_snapshot(folder)
            problems += replay(str(program), folder, name, entries)
            count += len(entries)
    finally:
        shutil.rmtree(folder)
    return count, problems


def main() -> int:
    count, problems = 0, []
    for file in filter(pathlib.Path.exists, (ANSWERS, facts_dir() / RECORDINGS)):
        played, found = play(sys.argv[1], file)
        count, problems = count + played, problems + found
    for problem in problems:
        print(problem)
    print(f"{count} requests, {len(problems)} differences")
    return 1 if problems or count == 0 else 0


if __name__ == "__main__":
    sys.exit(main())

"""Runs one command with limits on time and output, and ends everything it started if it is late.

The command gets a session of its own. Children that leave even that are found by a mark in their environment. What a
command puts into the background and leaves running when it ends in time may continue.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import Dict, Mapping, Optional, Sequence

from ..base.cancel import Cancel
from ..base.text import clean_block

_MARK = "FIRECLAW_TOOL_CALL"
_CHUNK = 65536
_PASSED_ON = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
_NO_PROXIES = ("NO_PROXY", "no_proxy")


@dataclass(frozen=True)
class Outcome:
    output: str
    # None: we ended the command.
    status: Optional[int]
    timed_out: bool = False

    def describe(self) -> str:
        if self.timed_out:
            return "timed out and was killed"
        if self.status is None:
            return "was stopped"
        if self.status < 0:
            return f"killed by signal {-self.status}"
        return f"exit status {self.status}"


def environment() -> Dict[str, str]:
    """What commands see of our environment."""
    passed_on = _PASSED_ON + _PROXIES + _NO_PROXIES
    chosen = {name: os.environ[name] for name in passed_on if name in os.environ}
    chosen.setdefault("PATH", "/usr/local/bin:/usr/bin:/bin")
    chosen.setdefault("LANG", "C.UTF-8")
    chosen["TERM"] = "dumb"
    return chosen


def use_proxy(url: str) -> None:
    """Tells commands the way to web servers by name; empty: there is none. The gateway itself is reached without it."""
    for name in _PROXIES + _NO_PROXIES:
        os.environ.pop(name, None)
    if url:
        host = url.partition("//")[2].rpartition(":")[0]
        os.environ.update(dict.fromkeys(_PROXIES, url))
        os.environ.update(dict.fromkeys(_NO_PROXIES, f"localhost,127.0.0.1,::1,gateway,gateway.fireclaw.internal,{host}"))


class _Keeper:
    """Keeps the beginning and the end of a stream, whatever its length."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._head = bytearray()
        self._tail = bytearray()
        self._total = 0

    def add(self, data: bytes) -> None:
        self._total += len(data)
        head = self._limit * 3 // 5
        free = head - len(self._head)
        if free > 0:
            self._head += data[:free]
            data = data[free:]
        self._tail += data
        # Cut only now and then: cutting at every piece would copy the tail each time.
        if len(self._tail) > 2 * self._limit:
            del self._tail[: len(self._tail) - self._limit]

    def text(self) -> str:
        tail = bytes(self._tail[max(0, len(self._tail) - (self._limit - len(self._head))) :])
        left_out = self._total - len(self._head) - len(tail)
        gap = f"\n[… {left_out} bytes left out …]\n".encode() if left_out else b""
        return clean_block((bytes(self._head) + gap + tail).decode("utf-8", "replace")).rstrip("\n")


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _kill_marked(mark: str) -> None:
    """Ends every process that carries the mark of this call. Looks again until it finds none, since one may fork
    while we look; a bound keeps a fork bomb from holding us."""
    needle = f"{_MARK}={mark}".encode()
    for _ in range(20):
        found = False
        for name in os.listdir("/proc"):
            if not name.isdigit() or int(name) == os.getpid():
                continue
            with contextlib.suppress(OSError):
                with open(f"/proc/{name}/environ", "rb") as file:
                    if needle not in file.read().split(b"\0"):
                        continue
                with open(f"/proc/{name}/stat", "rb") as file:
                    if file.read().rpartition(b")")[2].split()[0] in (b"Z", b"X"):
                        continue
                os.kill(int(name), signal.SIGKILL)
                found = True
        if not found:
            return


def run(argv: Sequence[str], folder: str, timeout: float, output_bytes: int, cancel: Cancel,
        env: Optional[Mapping[str, str]] = None, pursue: bool = True) -> Outcome:
    """Runs the command to its end. stdout and stderr come as one text, in the order of writing. Without `pursue` what
    left its process group lives on when it is ended: the caller knows better how to end that.
    OSError if it cannot be started; Cancelled if the turn was cancelled (the command is ended first)."""
    mark = os.urandom(8).hex()
    full_env = dict(environment() if env is None else env)
    full_env[_MARK] = mark
    deadline = time.monotonic() + timeout
    process = subprocess.Popen(  # noqa: S603 - running what the model asks for is the purpose
        list(argv), cwd=folder, env=full_env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, start_new_session=True, bufsize=0,
    )
    assert process.stdout is not None
    keeper = _Keeper(output_bytes)
    ended = False
    try:
        ended = _follow(process, process.stdout.fileno(), keeper, deadline, cancel)
    finally:
        if not ended:
            _kill_group(process.pid)
            if pursue:
                _kill_marked(mark)
        process.wait()
        process.stdout.close()
    cancel.check()
    return Outcome(keeper.text(), process.returncode if ended else None, timed_out=not ended)


def _follow(process: "subprocess.Popen[bytes]", pipe: int, keeper: _Keeper, deadline: float, cancel: Cancel) -> bool:
    """Collects output until the command has ended (True), or it is late or cancelled (False)."""
    os.set_blocking(pipe, False)
    ended = os.pidfd_open(process.pid)
    try:
        with selectors.DefaultSelector() as selector:
            for descriptor in (ended, pipe, cancel.fileno()):
                selector.register(descriptor, selectors.EVENT_READ)
            left = deadline - time.monotonic()
            while left > 0 and not cancel.is_set():
                ready = [key.fd for key, _ in selector.select(left)]
                if pipe in ready and _read_some(pipe, keeper) == b"":
                    selector.unregister(pipe)
                if ended in ready:
                    # A child in the background may hold the pipe open for ever; only what is there already
                    # belongs to the command.
                    for _ in range(64):
                        if not _read_some(pipe, keeper):
                            break
                    return True
                left = deadline - time.monotonic()
            return False
    finally:
        os.close(ended)


def _read_some(pipe: int, keeper: _Keeper) -> Optional[bytes]:
    """Reads what is there: nothing at the end, None if there is nothing at the moment."""
    try:
        data = os.read(pipe, _CHUNK)
    except BlockingIOError:
        return None
    keeper.add(data)
    return data

"""An overseer in a home folder of its own: started, stopped, looked at. Every wait is bounded."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))

import ngircd  # noqa: E402
from children import bound  # noqa: E402
from irc_client import Human  # noqa: E402

PROGRAM = os.environ["FIRECLAW_OVERSEER"]

# So that tests do not wait for what people would.
QUICK: Dict[str, Any] = {"message_burst": 50, "message_interval_s": 0.02, "reconnect_first_s": 0.1,
                         "reconnect_longest_s": 0.5, "regain_s": 1, "rejoin_s": 1, "restart_wait_s": 0.2}


def eventually(condition: Callable[[], Any], seconds: float = 10.0) -> Any:
    """The first true value of `condition`; fails after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        if value := condition():
            return value
        if time.monotonic() > end:
            raise AssertionError(f"still not so after {seconds} s")
        time.sleep(0.02)


class Overseer:
    """The process. Its log goes to a file beside the home folder."""

    def __init__(self, home: str, *words: str, env: Optional[Dict[str, str]] = None) -> None:
        self.home = home
        self.log_path = home + ".log"
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(bound([PROGRAM, "--home", home, *words]), stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, env={**os.environ, **(env or {})})

    def log(self) -> str:
        return Path(self.log_path).read_text(encoding="utf-8", errors="replace")

    def end(self, number: int = signal.SIGTERM, timeout: float = 20.0) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(timeout)


class Office(unittest.TestCase):
    """A real ngIRCd, and an overseer with agents that have no machines."""

    irc: ngircd.Ngircd

    @classmethod
    def setUpClass(cls) -> None:
        folder = tempfile.mkdtemp(prefix="fireclaw-office-")
        cls.addClassCleanup(shutil.rmtree, folder, ignore_errors=True)
        cls.irc = ngircd.Ngircd(folder)
        cls.addClassCleanup(cls.irc.stop)

    def setUp(self) -> None:
        self.folder = tempfile.mkdtemp(prefix="fireclaw-office-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.home = os.path.join(self.folder, "home")
        os.mkdir(self.home, 0o700)
        self.addCleanup(self.end_machines)
        self.port = self.irc.port

    def settings(self, **more: Any) -> None:
        values = {**QUICK, "port": self.port, **more}
        Path(self.home, "overseer.json").write_text(json.dumps(values), encoding="utf-8")

    def overseer(self, *words: str, env: Optional[Dict[str, str]] = None, **more: Any) -> Overseer:
        """Started, and in its channel if there is a server."""
        self.settings(**more)
        started = Overseer(self.home, *words, env=env)
        self.addCleanup(started.end, signal.SIGKILL)
        return started

    def human(self, nick: str = "alice", channel: str = "#control") -> Human:
        human = Human(self.port, nick)
        self.addCleanup(human.__exit__)
        if channel:
            human.join(channel)
        return human

    def greeted(self, human: Human, nick: str = "overseer") -> str:
        return human.hears(nick, "#control", "Overseer of fireclaw")

    def agents(self) -> Dict[str, Dict[str, Any]]:
        """What the fake agents have recorded."""
        folder = Path(self.home, "agents")
        return {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")} if folder.exists() else {}

    def audit(self) -> List[Dict[str, Any]]:
        path = Path(self.home, "overseer", "audit.log")
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def watched(self) -> List[str]:
        """The agents whose end will be noticed at once."""
        status = json.loads(run("--home", self.home, "status", "--json").stdout)
        return [agent["name"] for agent in status["agents"] if agent["watched"]]

    def end_machines(self) -> None:
        for agent in self.agents().values():
            if agent["pid"]:
                try:
                    os.kill(agent["pid"], signal.SIGKILL)
                except ProcessLookupError:
                    pass


def run(*words: str, timeout: float = 20.0) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)


class NotifySocket:
    """Stands for systemd."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(path)
        self._socket.settimeout(15)

    def wait_for(self, state: str) -> str:
        while True:
            told = self._socket.recv(4096).decode()
            if state in told.splitlines():
                return told

    def close(self) -> None:
        self._socket.close()

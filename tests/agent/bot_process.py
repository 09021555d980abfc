"""The bot as a process of its own, as the guest runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import Any, Dict, List

from harness import BOT


class BotProcess:
    """Owns the process; leaving the with block kills it if the test has not ended it."""

    def __init__(self, folder: str, value: Dict[str, Any], *options: str) -> None:
        self.folder = folder
        os.makedirs(os.path.join(folder, "workspace"), exist_ok=True)
        self.config_path = os.path.join(folder, "agent.json")
        self._value: Dict[str, Any] = {**value, "workspace": os.path.join(folder, "workspace")}
        self._log_path = os.path.join(folder, "bot.log")
        if "--wait-config" not in options:
            self.configure()
        with open(self._log_path, "ab") as log:
            self.process = subprocess.Popen([sys.executable, BOT, "--config", self.config_path, *options], stdin=subprocess.DEVNULL,
                                            stdout=subprocess.PIPE, stderr=log)

    def __enter__(self) -> BotProcess:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def configure(self, **changes: Any) -> None:
        """Writes the configuration; objects are merged into what there is."""
        for name, change in changes.items():
            if isinstance(change, dict) and isinstance(self._value.get(name), dict):
                self._value[name] = {**self._value[name], **change}
            else:
                self._value[name] = change
        self.write(json.dumps(self._value))

    def write(self, text: str) -> None:
        aside = self.config_path + ".new"
        with open(aside, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(aside, self.config_path)

    def reload(self, **changes: Any) -> None:
        self.configure(**changes)
        self.process.send_signal(signal.SIGHUP)

    def ready(self) -> None:
        """Waits for the word of --wait-config."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if line != b"ready\n":
            raise AssertionError(f"{line!r} instead of ready; log: {self.log()}")

    def stop(self, number: int = signal.SIGTERM) -> float:
        """Ends it and returns how long that took."""
        began = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(10)
        return time.monotonic() - began

    def log(self) -> str:
        with open(self._log_path, encoding="utf-8") as file:
            return file.read()

    def log_lines(self, word: str) -> List[str]:
        return [line for line in self.log().splitlines() if word in line]

    def wait_log(self, word: str, timeout: float = 10.0) -> None:
        deadline = time.monotonic() + timeout
        while not self.log_lines(word):
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise AssertionError(f"no {word!r} in the log: {self.log()[-2000:]}")
            time.sleep(0.01)

    def status(self) -> Dict[str, Any]:
        with open(os.path.join(self.folder, "agent-status.json"), encoding="utf-8") as file:
            value = json.load(file)
        assert isinstance(value, dict)
        return value

"""What the agent's tests share: paths, configurations, temporary folders, an agent that runs beside the test."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
import logging
import os
import random
import shutil
import sys
import tempfile
import threading
import unittest
from typing import Any, Callable, Dict, Optional

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BOT = os.path.join(TOP, "agent", "bot")
for folder in (os.path.join(TOP, "agent"), os.path.join(TOP, "tests", "support")):
    if folder not in sys.path:
        sys.path.insert(0, folder)

from bot.agent import Agent  # noqa: E402
from bot.base import config as bot_config  # noqa: E402
from bot.reload import merge  # noqa: E402

# What the agent logs is of interest to the tests that ask for it only.
logging.getLogger().addHandler(logging.NullHandler())

_BASE: Dict[str, Any] = {
    "name": "worker",
    "server": {"host": "127.0.0.1", "port": 1},
    "llm": {"url": "http://127.0.0.1:9", "model": "test-model"},
    # Quick in everything that a test would otherwise have to wait for.
    "limits": {"reconnect_first_s": 0.02, "reconnect_max_s": 0.1, "message_interval_s": 0.01, "message_burst": 20},
}


def settings(**changes: Any) -> Dict[str, Any]:
    """A configuration as JSON would hold it; objects are merged into the defaults field by field."""
    value = copy.deepcopy(_BASE)
    for name, change in changes.items():
        if isinstance(change, dict) and isinstance(value.get(name), dict):
            value[name].update(change)
        else:
            value[name] = change
    return value


def make_config(**changes: Any) -> bot_config.Config:
    return bot_config.parse(settings(**changes))


class FolderTest(unittest.TestCase):
    """A test with a folder of its own."""

    def setUp(self) -> None:
        super().setUp()
        self.folder = tempfile.mkdtemp(prefix="fireclaw-bot-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def path(self, *names: str) -> str:
        return os.path.join(self.folder, *names)

    def write(self, name: str, text: str) -> str:
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def read(self, name: str) -> str:
        with open(self.path(name), encoding="utf-8") as file:
            return file.read()


class RunningAgent:
    """An agent on an event loop in a thread of its own. Leaving the with block stops it and fails if it cannot."""

    def __init__(self, value: Dict[str, Any]) -> None:
        self._value = value
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._error: Optional[BaseException] = None
        self.agent: Agent
        self.loop: asyncio.AbstractEventLoop

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: B902 - handed to the test's thread
            self._error = error
        finally:
            self._started.set()

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        config = bot_config.parse(self._value)
        self.agent = Agent(config, os.path.join(config.workspace, "status.json"), random.Random(1))
        self._started.set()
        await self.agent.link.run()
        self.agent.desk.join(5)

    def __enter__(self) -> RunningAgent:
        self._thread.start()
        self._started.wait()
        if self._error is not None:
            raise self._error
        return self

    def __exit__(self, *_: object) -> None:
        # In one call, and none if the loop has closed by itself: it may end as soon as the agent is told to stop.
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self._end)
        self._thread.join(10)
        if self._thread.is_alive():
            raise AssertionError("the agent did not stop")
        if self._error is not None:
            raise self._error

    def _end(self) -> None:
        self.agent.stop("test over")
        # The fake server does not close the connection by itself.
        self.loop.call_later(0.05, self.agent.link.abort)

    def call(self, function: Callable[[], Any]) -> Any:
        """Runs the function on the agent's loop and returns what it returns."""

        async def run() -> Any:
            return function()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(10)

    def reload(self, value: Dict[str, Any]) -> None:
        def change() -> None:
            config, changes = merge(self.agent.config, bot_config.parse(value))
            self.agent.reconfigure(config, changes)

        self.call(change)

    def status(self) -> Dict[str, Any]:
        """The status file as it is once everything so far is in it."""
        self.call(self.agent.status.write)
        with open(os.path.join(self._value["workspace"], "status.json"), encoding="utf-8") as file:
            value = json.load(file)
        assert isinstance(value, dict)
        return value

"""Where questions wait and one at a time is worked on.

The queue lives on the event loop's thread. The one at work runs on a thread of its own and comes back through the
loop, so that neither a slow model nor a long command ever keeps the agent from answering a PING.
"""

from __future__ import annotations

import asyncio
import collections
import logging
import threading
from dataclasses import dataclass
from typing import Callable, Deque, List, Optional

from ..base.cancel import Cancel
from ..base.config import Config
from ..base.names import fold
from ..base.text import one_line
from ..llm.client import Client
from ..llm.conversation import Said
from ..llm.ollama import OllamaClient
from ..llm.openai_api import OpenAiClient
from ..tools.audit import Audit
from ..tools.memory import Memory
from .turns import Result, Turn, run_turn

log = logging.getLogger("desk")


@dataclass(eq=False)
class Question:
    # The conversation, and where the answer goes.
    key: str
    target: str
    # As they are called now: who changes the nick meanwhile is answered under the new one.
    asker: str
    private: bool
    bot: bool
    tools: bool
    # The conversation as it is when the question's time has come.
    said: Callable[[], List[Said]]
    quote: str


class Desk:
    def __init__(self, config: Config, answered: Callable[[Question, Result], None]) -> None:
        """`answered` is called on the loop's thread for every question that was taken, but those that were cancelled
        while they waited."""
        self._loop = asyncio.get_running_loop()
        self._config = config
        self._answered = answered
        self._memory = Memory(config.workspace)
        self._audit = Audit(config.workspace)
        self._client = self._make_client(config)
        self._waiting: Deque["tuple[Question, str]"] = collections.deque()
        self._current: Optional[Question] = None
        self._cancel: Optional[Cancel] = None
        self._thread: Optional[threading.Thread] = None
        self._closed = False
        # A question whose answer nobody waits for any more.
        self._abandoned: Optional[Question] = None
        self._count = 0
        self.answers = 0
        self.errors = 0
        self.tool_calls = 0
        try:
            self._memory.prepare()
        except OSError as error:
            log.error("the workspace '%s' cannot be used: %s", config.workspace, one_line(str(error)))

    @staticmethod
    def _make_client(config: Config) -> Client:
        return OllamaClient(config.llm) if config.llm.api == "ollama" else OpenAiClient(config.llm)

    @property
    def busy(self) -> bool:
        return self._current is not None

    @property
    def queued(self) -> int:
        return len(self._waiting)

    def ask(self, question: Question, nick: str) -> bool:
        """Takes the question unless too many wait already."""
        if self._closed or (self.busy and len(self._waiting) >= self._config.limits.queue):
            return False
        self._waiting.append((question, nick))
        self._next()
        return True

    def cancel(self, key: str) -> bool:
        """Gives up what is done or waits for the conversation. False if there was nothing."""
        waiting = [item for item in self._waiting if item[0].key != key]
        found = len(waiting) != len(self._waiting)
        self._waiting = collections.deque(waiting)
        if self._current is not None and self._current.key == key and self._cancel is not None:
            self._cancel.set()
            found = True
        return found

    def renamed(self, old: str, new: str) -> None:
        """The person who asked as `old` is called `new` now."""
        for question in (*(item[0] for item in self._waiting), *([self._current] if self._current else [])):
            if fold(question.asker) == fold(old):
                question.asker = new
                if question.private:
                    question.target = new

    def reconfigure(self, config: Config) -> None:
        """From the next question on."""
        if config.llm != self._config.llm:
            self._client = self._make_client(config)
        self._config = config

    def close(self) -> None:
        """Cancels everything; commands that run are ended at once."""
        self._closed = True
        self._give_up()

    def start_over(self, config: Config) -> None:
        """Cancels everything as close() does, and takes questions again. Nothing that was asked before is answered, not
        even what was on its way already."""
        self._abandoned = self._current
        self._give_up()
        self._config = config
        self._client = self._make_client(config)
        self.answers = self.errors = self.tool_calls = 0

    def _give_up(self) -> None:
        self._waiting.clear()
        if self._cancel is not None:
            self._cancel.set()

    def join(self, seconds: float) -> None:
        """Waits for the thread that was cancelled, but no longer than this."""
        if self._thread is not None:
            self._thread.join(seconds)

    def _next(self) -> None:
        if self._current is not None or not self._waiting or self._closed:
            return
        question, nick = self._waiting.popleft()
        self._current = question
        self._count += 1
        turn = Turn(config=self._config, nick=nick, asker=question.asker,
                    place="" if question.private else question.target, said=question.said(), tools=question.tools,
                    quote=question.quote, id=f"t{self._count}")
        cancel = self._cancel = Cancel()
        late = self._loop.call_later(self._config.limits.turn_s, cancel.set)
        client, memory, audit = self._client, self._memory, self._audit

        def work() -> None:
            with cancel:
                result = run_turn(turn, client, memory, audit, cancel)
            try:
                self._loop.call_soon_threadsafe(self._done, question, result, late)
            except RuntimeError:
                log.debug("the loop was closed before %s was done", turn.id)

        self._thread = threading.Thread(target=work, name=turn.id, daemon=True)
        self._thread.start()

    def _done(self, question: Question, result: Result, late: asyncio.TimerHandle) -> None:
        timed_out = result.cancelled and self._loop.time() >= late.when()
        late.cancel()
        self._current = self._cancel = self._thread = None
        if question is self._abandoned:
            self._abandoned = None
            self._next()
            return
        self.tool_calls += result.tool_calls
        if timed_out:
            result = Result(error=f"gave up after {self._config.limits.turn_s:g} s", tool_calls=result.tool_calls)
        if result.error:
            self.errors += 1
        elif not result.cancelled:
            self.answers += 1
        self._answered(question, result)
        self._next()

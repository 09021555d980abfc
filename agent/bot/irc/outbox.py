"""What waits to be sent on one connection, and in which order and how fast it goes out."""

from __future__ import annotations

import collections
from typing import Deque, List, Tuple

from ..base.pacing import Pacer
from .protocol import build

_WAITING_LINES = 400


class Outbox:
    """Three queues: what must go at once (it is charged to the pacer once the pace counts, but never waits), the
    session's own commands, and text. Text goes out one line a target in turn, so that a long answer in one channel does not hold
    up another. Targets are keys that the session has folded."""

    def __init__(self, pacer: Pacer, now: float) -> None:
        self._pacer = pacer
        self._urgent: Deque[bytes] = collections.deque()
        self._commands: Deque[bytes] = collections.deque()
        self._texts: "collections.OrderedDict[str, Deque[Tuple[str, str]]]" = collections.OrderedDict()
        self._waiting = 0
        pacer.restart(now)

    def urgent(self, line: bytes) -> None:
        self._urgent.append(line)

    def command(self, line: bytes) -> None:
        """Queues a command; one that waits already is not queued twice."""
        if line not in self._commands:
            self._commands.append(line)

    def text(self, key: str, target: str, text: str) -> bool:
        """False if too much is waiting already."""
        if self._waiting >= _WAITING_LINES:
            return False
        self._texts.setdefault(key, collections.deque()).append((target, text))
        self._waiting += 1
        return True

    def forget(self, key: str) -> None:
        """Takes back the text to one target that has not been sent yet."""
        self._waiting -= len(self._texts.pop(key, ()))

    def rename(self, old: str, new: str, target: str) -> None:
        """What waits for the key `old` is for `target`, whose key is `new`, from now on."""
        texts = [text for _, text in self._texts.pop(old, ())]
        if texts:
            self._texts.setdefault(new, collections.deque()).extend((target, text) for text in texts)

    def take(self, now: float, only_urgent: bool) -> List[bytes]:
        """What may go out at this moment. While only urgent lines may, nothing is charged: the registration must not
        make the first JOIN wait."""
        out: List[bytes] = []
        while self._urgent:
            if not only_urgent:
                self._pacer.charge(now)
            out.append(self._urgent.popleft())
        while not only_urgent and (self._commands or self._texts) and self._pacer.take(now):
            out.append(self._commands.popleft() if self._commands else self._next_text())
        return out

    def _next_text(self) -> bytes:
        key, lines = self._texts.popitem(last=False)
        target, text = lines.popleft()
        self._waiting -= 1
        if lines:
            self._texts[key] = lines
        return build("PRIVMSG", target, trailing=text)

    def ready_at(self, now: float) -> float:
        """When take() will have something again; infinity if nothing waits."""
        if self._urgent:
            return now
        return self._pacer.ready_at(now) if self._commands or self._texts else float("inf")

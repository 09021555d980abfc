"""Finds out who is a program although nothing says so: it answers all that we say, at once, always, or with the same words.

Two programs that always answer would talk until somebody notices. People pause, talk to others, and change their words.
"""

from __future__ import annotations

import collections
import re
from dataclasses import dataclass
from typing import Tuple

_NOISE = re.compile(r"[\W\d_]+")


def _words(text: str) -> str:
    """The text without what changes by itself: numbers, marks, spaces."""
    return _NOISE.sub("", text.casefold()) or text


@dataclass
class _Exchange:
    """What passed between us and one peer in one conversation. Times in seconds."""

    spoke: float = float("-inf")
    heard: float = float("-inf")
    text: str = ""
    # Answers to us in a row: quicker than anybody reads, quicker than most people type, with the same words.
    at_once: int = 0
    soon: int = 0
    same: int = 0
    stopped: bool = False


class LoopBreaker:
    """Told of every line that is answered and of every answer. Keeps the latest conversations only."""

    AT_ONCE_S = 0.8
    AT_ONCE = 4
    SOON_S = 8.0
    SOON = 9
    # A person alone with us has nobody else to talk to.
    SOON_IN_PRIVATE = 12
    SAME = 6
    FORGIVEN_S = 600.0
    # Lines so close to each other are one answer.
    BURST_S = 3.0
    _MOST = 512

    def __init__(self) -> None:
        self._all: "collections.OrderedDict[Tuple[str, str], _Exchange]" = collections.OrderedDict()

    def _get(self, conversation: str, peer: str) -> _Exchange:
        exchange = self._all.pop((conversation, peer), None) or _Exchange()
        self._all[(conversation, peer)] = exchange
        while len(self._all) > self._MOST:
            self._all.popitem(last=False)
        return exchange

    def spoke(self, conversation: str, peer: str, now: float) -> None:
        """We answered the peer."""
        self._get(conversation, peer).spoke = now

    def forgive(self, conversation: str, peer: str, text: str) -> None:
        """The peer asks in these words for a new beginning. A program that asks for one each time gets one."""
        words = _words(text)
        if self._get(conversation, peer).text != words:
            self._all[(conversation, peer)] = _Exchange(text=words)

    def stopped(self, conversation: str, peer: str) -> bool:
        found = self._all.get((conversation, peer))
        return found is not None and found.stopped

    def heard(self, conversation: str, peer: str, text: str, private: bool, now: float) -> bool:
        """The peer says something that is to be answered. True if it is a loop, now or since a while ago."""
        exchange = self._get(conversation, peer)
        if exchange.stopped and now - exchange.heard >= self.FORGIVEN_S:
            exchange = self._all[(conversation, peer)] = _Exchange()
        gap = now - exchange.spoke
        words = _words(text)
        if exchange.spoke >= exchange.heard:
            exchange.at_once = exchange.at_once + 1 if gap <= self.AT_ONCE_S else 0
            exchange.soon = exchange.soon + 1 if gap <= self.SOON_S else 0
            exchange.same = exchange.same + 1 if gap <= self.FORGIVEN_S and words == exchange.text else 0
            exchange.text = words
        elif now - exchange.heard > self.BURST_S:
            # A line before our answer is not an answer to us.
            exchange.at_once = exchange.soon = exchange.same = 0
            exchange.text = words
        exchange.heard = now
        soon = self.SOON_IN_PRIVATE if private else self.SOON
        if exchange.at_once >= self.AT_ONCE or exchange.soon >= soon or exchange.same >= self.SAME:
            exchange.stopped = True
        return exchange.stopped

"""What was said where: a bounded memory of every conversation, and the rest of answers that were too long."""

from __future__ import annotations

import collections
from dataclasses import dataclass
from typing import Deque, List, Optional, Tuple

from ..base.config import Limits
from ..llm.conversation import Said, alternating


@dataclass(frozen=True)
class Line:
    """One thing that was said; `mine` if the agent said it."""

    nick: str
    text: str
    mine: bool = False
    action: bool = False

    def shown(self) -> str:
        return f"* {self.nick} {self.text}" if self.action else f"<{self.nick}> {self.text}"


class Conversation:
    """The latest lines of a channel or of a private talk."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._lines: Deque[Line] = collections.deque()
        self._chars = 0

    def add(self, line: Line) -> None:
        self._lines.append(line)
        self._chars += len(line.text)
        # The latest line always stays, however long it is: it is the question.
        while len(self._lines) > 1 and (
                len(self._lines) > self._limits.context_messages or self._chars > self._limits.context_chars):
            self._chars -= len(self._lines.popleft().text)

    def clear(self) -> None:
        self._lines.clear()
        self._chars = 0

    def said(self, question: Line, quote: str) -> List[Said]:
        """The conversation for the model. Runs of others' lines become one user message each, between marks that
        carry `quote`, which nobody outside can know; the last one asks for an answer to `question`."""
        messages: List[Said] = []
        run: List[str] = []

        def flush() -> None:
            if run:
                messages.append(Said("user", "\n".join([f"[irc {quote}]", *run, f"[/irc {quote}]"])))
                run.clear()

        for line in self._lines:
            if line.mine:
                flush()
                messages.append(Said("assistant", line.text))
            else:
                run.append(line.shown())
        if not self._lines or self._lines[-1] is not question:
            run.append(question.shown())
        flush()
        last = messages.pop()
        messages.append(Said("user", f"{last.content}\nAnswer {question.nick}'s last line."))
        # What was asked while an answer was on its way was answered after it, so two answers can stand side by side; and
        # a conversation that starts in the middle can start with an answer.
        return alternating(messages)


class Conversations:
    """All conversations; the one that was silent longest is forgotten when there are too many."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._all: "collections.OrderedDict[str, Conversation]" = collections.OrderedDict()

    def get(self, key: str) -> Conversation:
        conversation = self._all.pop(key, None) or Conversation(self._limits)
        self._all[key] = conversation
        while len(self._all) > self._limits.conversations:
            self._all.popitem(last=False)
        return conversation

    def forget(self, key: str) -> None:
        self._all.pop(key, None)


class Pager:
    """Keeps what did not fit into an answer until somebody says "more"."""

    KEPT_S = 900.0
    MORE = '… (say "more" for the rest)'

    def __init__(self, most: int = 64) -> None:
        self._rest: "collections.OrderedDict[str, Tuple[float, List[str]]]" = collections.OrderedDict()
        self._most = most

    def first_page(self, key: str, lines: List[str], size: int, room: int, now: float) -> List[str]:
        """The lines to say now; the others are kept and the last one says so."""
        self._rest.pop(key, None)
        if len(lines) <= size:
            return lines
        self._rest[key] = (now, lines[size:])
        while len(self._rest) > self._most:
            self._rest.popitem(last=False)
        page = lines[:size]
        if len(page[-1].encode()) + len(self.MORE.encode()) + 1 <= room:
            return [*page[:-1], f"{page[-1]} {self.MORE}"]
        return [*page, self.MORE]

    def next_page(self, key: str, size: int, room: int, now: float) -> Optional[List[str]]:
        """None if there is no more."""
        kept = self._rest.pop(key, None)
        if kept is None or now - kept[0] > self.KEPT_S:
            return None
        return self.first_page(key, kept[1], size, room, now)

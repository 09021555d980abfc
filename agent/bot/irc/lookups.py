"""Asking the server who somebody is, and putting its answer together from several numerics."""

from __future__ import annotations

from typing import Callable, Dict, List, Tuple

from ..base.text import strip_controls
from .events import PeerInfo
from .protocol import Message, build

_LONGEST_S = 5.0


class Lookups:
    """The look-ups of one connection. Times in seconds, as the session tells them."""

    def __init__(self, fold: Callable[[str], str], send: Callable[[bytes], None]) -> None:
        self._fold = fold
        self._send = send
        self._open: Dict[str, Tuple[float, PeerInfo]] = {}

    def ask(self, nick: str, now: float) -> None:
        """Asks, unless that is under way. The look-up is over after five seconds, with or without an answer."""
        key = self._fold(nick)
        if key not in self._open:
            self._open[key] = (now + _LONGEST_S, PeerInfo(nick, found=False, bot=False, realname=""))
            self._send(build("WHOIS", nick))

    def learn(self, message: Message) -> None:
        """A numeric about a nick: 311 holds the real name, 335 says that it is a bot."""
        key = self._fold(message.param(1))
        if key in self._open:
            due, info = self._open[key]
            realname = strip_controls(message.param(5)) if message.command == "311" else info.realname
            self._open[key] = (due, PeerInfo(info.nick, True, info.bot or message.command == "335", realname))

    def end(self, nick: str) -> List[PeerInfo]:
        """The server has said all it knows of a nick: the answer, if that was asked for."""
        found = self._open.pop(self._fold(nick), None)
        return [found[1]] if found is not None else []

    def overdue(self, now: float) -> List[PeerInfo]:
        """What is known of people about whom the server has not told us everything in time."""
        late = [key for key, (due, _) in self._open.items() if now >= due]
        return [self._open.pop(key)[1] for key in late]

    def deadlines(self) -> List[float]:
        """When overdue() will have something."""
        return [due for due, _ in self._open.values()]

"""What servers say when they do not do what we asked for: numerics, which mean different things in different places, and
the standard replies of newer servers."""

from __future__ import annotations

from typing import Callable, Optional

from ..base.text import one_line
from .events import Event, Refused, Trouble
from .protocol import Message

# 470 is a forward: we land in another channel than we asked for.
JOIN_REFUSED = ("384", "403", "405", "407", "437", "448", "470", "471", "473", "474", "475", "476", "477", "479", "480", "485",
                "489", "495", "500", "519", "520", "926")
# 477 and 489 can mean either: in a channel that we are in they are about speaking.
SPEECH_REFUSED = ("404", "408", "415", "439", "477", "486", "489", "492", "531", "707", "716")


def denial(message: Message, inside: Callable[[str], bool], wished: Callable[[str], str]) -> Optional[Event]:
    """What a numeric or a FAIL means for us. `inside` says whether we are in a channel (or in the one behind "@#channel"),
    `wished` gives the name of a channel that we mean to be in, or nothing. None for what is not about us."""
    if message.command == "FAIL":
        return _failure(message, inside, wished)
    if len(message.params) < 3:
        return None
    target, reason = message.param(1), one_line(message.params[-1])
    if message.command in JOIN_REFUSED and not inside(target):
        if message.command == "470" and len(message.params) > 3:
            reason = f"the server forwards to {one_line(message.param(2), 64)} ({reason})"
        return Refused(wished(target), True, reason) if wished(target) else None
    return Refused(target, False, reason)


def _failure(message: Message, inside: Callable[[str], bool], wished: Callable[[str], str]) -> Event:
    """FAIL command code [context...] :words."""
    command, code = message.param(0).upper(), message.param(1)
    words = one_line(message.params[-1]) if len(message.params) > 2 else "no reason given"
    reason = f"{words} ({one_line(code, 60)})"
    context = message.params[2:-1]
    channel = next(filter(None, map(wished, context)), "")
    if command == "JOIN" and channel and not inside(channel):
        return Refused(channel, True, reason)
    if command in ("PRIVMSG", "NOTICE") and context:
        return Refused(context[0], False, reason)
    return Trouble(f"{one_line(command, 30) or 'a command'} failed: {reason}")

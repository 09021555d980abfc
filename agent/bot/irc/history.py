"""Finds old lines of a server: lines from before we joined, which a channel's history or a bouncer repeats.

Servers mark them in several ways: by a batch, by the time of each line, by words before and after. No server knows all of
them. An old line is not answered.
"""

from __future__ import annotations

import datetime
import re
import time
from typing import Callable, Dict, Optional, Tuple

from .protocol import Message

# Our clock is asked only where the server did not show its own when we came, and can be wrong by so much.
_CLOCKS_DIFFER_S = 60.0
# For a history whose end never comes.
_LONGEST_PLAY_S = 60.0
_MOST_BATCHES = 64
_PLAYED = re.compile(r"history|playback|replay|backlog|scrollback", re.I)
_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(\.\d+)?Z?")
# No person's nick begins so; and what soju and ergo call themselves.
_PLAYERS = re.compile(r"[^!]*!znc@znc\.in|[*-][^!]*![^!]*|BouncerServ!BouncerServ@BouncerServ|HistServ!HistServ@localhost", re.I)
_PLAY_BEGINS = re.compile(r"buffer playback|replaying|playback of|begin(?:ning)? of (?:history|playback)|chat history", re.I)
_PLAY_ENDS = re.compile(r"playback (?:is )?(?:complete|finished|over|done)|end of (?:history|playback|chat history)", re.I)


def read_time(tag: str) -> Optional[float]:
    """The time in a tag as seconds since 1970; None for anything else."""
    found = _TIME.fullmatch(tag)
    if found is None:
        return None
    try:
        at = datetime.datetime.fromisoformat("{}-{}-{}T{}:{}:{}+00:00".format(*found.groups()[:6]))
    except ValueError:
        # A month 13, or a second that was put in.
        return None
    return at.timestamp() + float(found.group(7) or 0)


class History:
    """What one connection knows of it. Channels are given as the session folds them."""

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        self._wall = wall
        self._batches: Dict[str, bool] = {}
        # When the server took us in, and when we came to each channel, by its clock.
        self._began = wall() - _CLOCKS_DIFFER_S
        self._joined: Dict[str, float] = {}
        # Channels whose history is being played, as the server's words say; with what ends it, and when it is over anyway.
        self._playing: Dict[str, Tuple[str, float]] = {}

    def registered(self, message: Message) -> None:
        self._began = self._clock(message)

    def joined(self, channel: str, message: Message) -> None:
        self._joined[channel] = self._clock(message)

    def _clock(self, message: Message) -> float:
        at = self._time_of(message)
        return self._wall() - _CLOCKS_DIFFER_S if at is None else at

    def left(self, channel: str) -> None:
        self._joined.pop(channel, None)
        self._playing.pop(channel, None)

    @staticmethod
    def _time_of(message: Message) -> Optional[float]:
        return read_time(message.tags.get("time", message.tags.get("znc.in/server-time-iso", "")))

    def batch(self, message: Message) -> None:
        """BATCH +reference type parameters, or -reference; a batch within one of history is history too."""
        reference, kind = message.param(0)[1:], message.param(1)
        if message.param(0).startswith("+") and len(self._batches) < _MOST_BATCHES:
            outer = self._batches.get(message.tags.get("batch", ""), False)
            self._batches[reference] = outer or _PLAYED.search(kind) is not None
        elif message.param(0).startswith("-"):
            self._batches.pop(reference, None)

    def notice(self, channel: str, message: Message, token: str) -> bool:
        """A line about the history of a channel, from the server or a bouncer. True if it begins without saying when it
        ends: then the history is over once the server answers a PING with the token."""
        if "!" in message.source and not self.is_player(message.source):
            return False
        text = message.param(1)
        if _PLAY_ENDS.search(text):
            self._playing.pop(channel, None)
        elif _PLAY_BEGINS.search(text) and channel not in self._playing:
            bouncer = "!" in message.source
            self._playing[channel] = ("" if bouncer else token, self._wall() + _LONGEST_PLAY_S)
            return not bouncer
        return False

    @staticmethod
    def is_player(source: str) -> bool:
        """Whether the source is the part of a bouncer that speaks of itself."""
        return _PLAYERS.fullmatch(source) is not None

    def pong(self, token: str) -> None:
        self._playing = {channel: play for channel, play in self._playing.items() if not token or play[0] != token}

    def is_old(self, channel: str, message: Message) -> bool:
        """Whether a line to the channel (or to us, if that is empty) was said before we were there to hear it."""
        if self._batches.get(message.tags.get("batch", ""), False):
            return True
        if channel in self._playing and self._wall() < self._playing[channel][1]:
            return True
        at = self._time_of(message)
        return at is not None and at < self._joined.get(channel, self._began)

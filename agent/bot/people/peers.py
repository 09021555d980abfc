"""Finds out who is a bot, and whether a question may be answered. So two agents do not talk to each other for ever."""

from __future__ import annotations

import collections
import enum
from typing import Dict, Optional, Tuple

from ..base.config import Config
from ..base.names import fold, matches
from ..base.pacing import TokenBucket
from ..irc.events import PeerInfo, Text
from .loops import LoopBreaker

_KNOWN_S = 3600.0
_MOST = 512


class Book:
    """What is known about others: by configuration, by the server's bot mode, by their real name. Nicks are folded
    by IRC's widest rule; taking two nicks for one here does no harm."""

    def __init__(self, config: Config) -> None:
        self._peers = config.peers
        self._known: "collections.OrderedDict[str, Tuple[float, bool]]" = collections.OrderedDict()

    def reconfigure(self, config: Config) -> None:
        if config.peers != self._peers:
            self._peers = config.peers
            self._known.clear()

    def is_bot(self, event: Text, now: float) -> Optional[bool]:
        """None: a look-up has to find out."""
        for mask in self._peers.bots:
            if matches(mask, event.source if "!" in mask else event.nick):
                return True
        if event.bot:
            self._remember(event.nick, True, now)
            return True
        known = self._known.get(fold(event.nick))
        return known[1] if known is not None and now < known[0] else None

    def learn(self, info: PeerInfo, now: float) -> bool:
        """Takes in a look-up. Somebody the server cannot tell us about counts as a human."""
        named = bool(self._peers.realname) and info.found and matches(self._peers.realname, info.realname)
        bot = info.bot or named
        self._remember(info.nick, bot, now)
        return bot

    def _remember(self, nick: str, bot: bool, now: float) -> None:
        self._known.pop(fold(nick), None)
        self._known[fold(nick)] = (now + _KNOWN_S, bot)
        while len(self._known) > _MOST:
            self._known.popitem(last=False)

    def forget(self, nick: str) -> None:
        """The nick may belong to somebody else from now on."""
        self._known.pop(fold(nick), None)

    def forget_all(self) -> None:
        self._known.clear()


class Verdict(enum.Enum):
    ANSWER = "answer"
    # A bot that was answered a moment ago.
    COOLDOWN = "cooldown"
    # Bots have been talking among themselves for long enough.
    ENOUGH = "enough"
    # Anyone who asks more often than a person would.
    TOO_OFTEN = "too often"
    # Somebody who answers as a program does: found out just now, or before.
    LOOP_FOUND = "a loop"
    LOOP = "still a loop"


class Guard:
    """Decides whether to answer. Bots are answered once per cooldown, and only so many times in one conversation
    until a human says something there, or bots have been silent for an hour."""

    QUIET_S = 3600.0

    def __init__(self, config: Config) -> None:
        self._config = config
        self._answered: Dict[str, float] = {}
        self._turns: Dict[str, Tuple[int, float]] = {}
        self._rates: "collections.OrderedDict[str, TokenBucket]" = collections.OrderedDict()
        self._loops = LoopBreaker()

    def reconfigure(self, config: Config) -> None:
        self._config = config

    def human_spoke(self, conversation: str, nick: str = "") -> None:
        """Somebody who is not known as a bot said something; one who was found in a loop does not count."""
        if not self._loops.stopped(conversation, fold(nick)):
            self._turns.pop(conversation, None)

    def spoke(self, conversation: str, nick: str, now: float) -> None:
        """We answered somebody."""
        self._loops.spoke(conversation, fold(nick), now)

    def forgive(self, conversation: str, nick: str, text: str) -> None:
        """Somebody says in these words that the conversation begins again."""
        self._loops.forgive(conversation, fold(nick), text)

    def loops(self, conversation: str, nick: str, text: str, private: bool, now: float) -> bool:
        """Whether somebody who is about to be answered answers us as a program does."""
        return self._loops.heard(conversation, fold(nick), text, private, now)

    def counting(self, conversation: str) -> bool:
        """Whether it matters at the moment if the next speaker is a human."""
        return conversation in self._turns

    def judge(self, conversation: str, nick: str, bot: bool, now: float, private: bool = False, text: str = "") -> Verdict:
        """Decides, and counts the answer if there is to be one."""
        peer = fold(nick)
        if bot:
            answered = self._answered.get(peer)
            if answered is not None and now - answered < self._config.peers.cooldown_s:
                return Verdict.COOLDOWN
            turns, last = self._turns.get(conversation, (0, now))
            if now - last > self.QUIET_S:
                turns = 0
            if turns >= self._config.peers.max_turns:
                # The attempt counts as noise: the silence has to be one of both.
                self._turns[conversation] = (turns, now)
                return Verdict.ENOUGH
        if not self._rate(peer, now).take(now):
            return Verdict.TOO_OFTEN
        if not bot:
            before = self._loops.stopped(conversation, peer)
            if self.loops(conversation, nick, text, private, now):
                return Verdict.LOOP if before else Verdict.LOOP_FOUND
        if bot:
            self._turns[conversation] = (turns + 1, now)
            self.answered(nick, now)
        return Verdict.ANSWER

    def answered(self, nick: str, now: float) -> None:
        """The cooldown starts with the question and again when the answer leaves."""
        cooldown = self._config.peers.cooldown_s
        self._answered = {peer: at for peer, at in self._answered.items() if now - at < cooldown}
        self._answered[fold(nick)] = now

    def _rate(self, peer: str, now: float) -> TokenBucket:
        bucket = self._rates.pop(peer, None)
        if bucket is None:
            per_minute = self._config.limits.turns_per_minute
            bucket = TokenBucket(per_minute, 60.0 / per_minute, now)
        self._rates[peer] = bucket
        while len(self._rates) > _MOST:
            self._rates.popitem(last=False)
        return bucket

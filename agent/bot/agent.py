"""The agent's behaviour on IRC: the people it answers, the channels it joins, the lines it says. Lives on the event
loop's thread; the thinking happens in `desk` on another."""

from __future__ import annotations

import collections
import logging
import os
import random
import secrets
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Tuple

from . import __version__
from .base.config import Config
from .base.names import fold, matches
from .base.text import lines_for_irc, one_line
from .irc.events import (
    Closing, Event, Invited, Joined, Left, NickChanged, PeerGone, PeerInfo, PeerRenamed, Refused, Registered, Text, Trouble,
)
from .irc.link import Link
from .people import addressing
from .people.peers import Book, Guard, Verdict
from .questions.context import Conversations, Line, Pager
from .questions.desk import Desk, Question
from .questions.turns import Result
from .status import ChannelStore, StatusFile

log = logging.getLogger("agent")

_OFFLINE_KEPT_S = 300.0
_OFFLINE_MOST = 20
_HELD_MOST = 50
# Each costs a WHOIS, which goes ahead of text.
_STRANGERS_MOST = 8
_REMARK_EVERY_S = 10.0
_ANSWERING_MOST = 64


@dataclass(frozen=True)
class _Heard:
    """A line of somebody else's, as it stands in the conversation, and what it asks of us (None: nothing)."""

    event: Text
    line: Line
    asked: Optional[str]


def _key(event: Text) -> str:
    """The conversation that the line belongs to. A private one belongs to nick, user and host together: the one who takes
    over a nick must not take over what was said under it."""
    return fold(event.source if event.private else event.target)


class Agent:
    def __init__(self, config: Config, status_path: str, rng: random.Random) -> None:
        self.config = config
        self._rng = rng
        self._store = ChannelStore(config.workspace)
        self._invited: Dict[str, str] = {fold(name): name for name in self._store.load()}
        # What the link joins: names and keys.
        self._channels: Dict[str, str] = {}
        self._wish_for_channels()
        self.link = Link(config, self._channels, self.on_event, self._state_changed, rng)
        self.desk = Desk(config, self._answered)
        self._conversations = Conversations(config.limits)
        self._pager = Pager()
        self._book = Book(config)
        self._guard = Guard(config)
        # Lines whose speaker is being looked up.
        self._held: Dict[str, List[_Heard]] = {}
        # Answers that were ready while we were not there to give them: when, where, what.
        self._undelivered: List[Tuple[float, str, List[str]]] = []
        self._remarked: Dict[str, float] = {}
        # The people to tell when the server refuses: the last one answered in each place, the inviter to each channel.
        self._answering: "collections.OrderedDict[str, str]" = collections.OrderedDict()
        self._inviters: Dict[str, str] = {}
        # The word in the marks around text from outside: nobody who has not read the prompt can close them.
        self._quote = secrets.token_hex(4)
        self.status = StatusFile(status_path, self._collect_status)
        self._last_error = ""

    # Small things.

    def _wish_for_channels(self) -> None:
        self._channels.clear()
        for item in self.config.channels:
            name, _, key = item.partition(" ")
            self._channels[name] = key
        for name in self._invited.values():
            if not self._is_home(name):
                self._channels[name] = ""

    def _is_home(self, channel: str) -> bool:
        return any(fold(item.split(" ")[0]) == fold(channel) for item in self.config.channels)

    def _is_operator(self, source: str) -> bool:
        return any(matches(mask, source) for mask in self.config.operators)

    @property
    def nick(self) -> str:
        session = self.link.session
        return session.nick if session is not None else self.config.nick

    def _room(self, target: str) -> int:
        session = self.link.session
        return session.text_room(target) if session is not None else 300

    def _state_changed(self) -> None:
        log.info("%s", self.link.state)
        self.status.changed()

    def _collect_status(self) -> Dict[str, Any]:
        session = self.link.session
        return {
            "version": __version__, "name": self.config.name, "state": self.link.state, "nick": self.nick,
            "wanted_nick": self.config.nick, "channels": session.channels if session is not None else [],
            "server": f"{self.config.server.host}:{self.config.server.port}", "model": self.config.llm.model,
            "busy": self.desk.busy, "queued": self.desk.queued, "answers": self.desk.answers,
            "tool_calls": self.desk.tool_calls, "llm_errors": self.desk.errors,
            "last_error": self._last_error or self.link.last_error, "connections": self.link.connections,
        }

    # Speaking.

    def say(self, target: str, lines: List[str]) -> None:
        """Says the lines now, or when we are back if we are away."""
        session = self.link.session
        if session is None or not session.reaches(target):
            self._undelivered = self._undelivered[-_OFFLINE_MOST + 1 :] + [(self.link.now(), target, lines)]
            return
        for line in lines:
            if not session.say(target, line):
                break
        self.link.pump()

    def _deliver(self) -> None:
        """Says what had to wait. What cannot be said yet is kept, what is old is not said any more."""
        waiting, self._undelivered = self._undelivered, []
        for at, target, lines in waiting:
            if self.link.now() - at <= _OFFLINE_KEPT_S:
                self.say(target, lines)

    def _remark(self, target: str, key: str, text: str) -> None:
        """Says something about the agent itself, but not the same kind of thing again and again."""
        now = self.link.now()
        if now - self._remarked.get(f"{target} {key}", -_REMARK_EVERY_S) >= _REMARK_EVERY_S:
            self._remarked = {name: at for name, at in self._remarked.items() if now - at < _REMARK_EVERY_S}
            self._remarked[f"{target} {key}"] = now
            self.say(target, [text])

    def announce(self, text: str) -> None:
        log.info("%s", text)
        if self.config.home_channel:
            self.say(self.config.home_channel, [one_line(text, 350)])

    # What happens on IRC.

    def on_event(self, event: Event) -> None:
        if isinstance(event, Text):
            self._on_text(event)
        elif isinstance(event, PeerInfo):
            self._on_peer_info(event)
        elif isinstance(event, Invited):
            self._on_invited(event)
        elif isinstance(event, Joined):
            self._on_joined(event.channel)
        elif isinstance(event, Left):
            self._on_left(event)
        elif isinstance(event, PeerGone):
            self._book.forget(event.nick)
        elif isinstance(event, PeerRenamed):
            self._book.forget(event.old)
            self._book.forget(event.new)
            self.desk.renamed(event.old, event.new)
        elif isinstance(event, Registered):
            log.info("registered as %s", event.nick)
            self._deliver()
        elif isinstance(event, NickChanged):
            log.info("now known as %s", event.nick)
        elif isinstance(event, Closing):
            # After a reconnect the person behind a nick has to be looked up again.
            self._book.forget_all()
            self._held.clear()
        elif isinstance(event, Trouble):
            self._note_trouble(event.reason)
        elif isinstance(event, Refused):
            self._on_refused(event)
        if not isinstance(event, Text):
            self.status.changed()

    def _note_trouble(self, reason: str) -> None:
        log.warning("%s", reason)
        self._last_error = reason

    def _on_refused(self, event: Refused) -> None:
        """Tells the person who waits for it in private; the operator sees it in the status."""
        place = one_line(event.target, 64)
        self._note_trouble(f"cannot {'join' if event.joining else 'speak in'} {place}: {event.reason}")
        if event.joining:
            waiting = self._inviters.get(fold(event.target), "")
        else:
            # A refusal can name the channel where the answer was to a part of it.
            waiting = next((nick for place, nick in reversed(self._answering.items())
                            if fold(event.target) in (place, place.lstrip("~&@%+"))), "")
        session = self.link.session
        if session is not None and not event.joining:
            # The rest of the answer would be refused as well.
            session.forget_waiting(event.target)
        if waiting and fold(waiting) != fold(event.target):
            self._remark(waiting, f"refused {fold(event.target)}", self._last_error)

    def _on_text(self, event: Text) -> None:
        key = _key(event)
        asked = addressing.question(event.text, self.nick, self.config.trigger)
        if event.private and asked is None:
            asked = event.text
        heard = _Heard(event, Line(event.nick, event.text, action=event.action), asked)
        self._conversations.get(key).add(heard.line)
        bot = self._book.is_bot(event, self.link.now())
        if bot is not None:
            self._consider(heard, bot)
        elif asked is not None or self._guard.counting(key):
            self._look_up(heard)

    def _look_up(self, heard: _Heard) -> None:
        nick = heard.event.nick
        session = self.link.session
        strangers, lines = len(self._held), sum(len(held) for held in self._held.values())
        if session is None or lines >= _HELD_MOST or (fold(nick) not in self._held and strangers >= _STRANGERS_MOST):
            log.warning("too many lines from strangers at once; one of %s was not answered", nick)
            return
        self._held.setdefault(fold(nick), []).append(heard)
        session.look_up(nick, self.link.now())
        self.link.pump()

    def _on_peer_info(self, info: PeerInfo) -> None:
        bot = self._book.learn(info, self.link.now())
        for heard in self._held.pop(fold(info.nick), []):
            self._consider(heard, bot)

    def _consider(self, heard: _Heard, bot: bool) -> None:
        """A line whose speaker is known: answer it?"""
        event, asked = heard.event, heard.asked
        key = _key(event)
        if not bot:
            self._guard.human_spoke(key, event.nick)
        if asked is None:
            return
        if bot and not event.private and addressing.question(event.text, self.nick, "mention") is None:
            # What triggers on every line would let any two bots talk for ever.
            return
        if not bot and self._obey(event, asked):
            return
        verdict = self._guard.judge(key, event.nick, bot, self.link.now(), event.private, asked)
        if verdict is Verdict.TOO_OFTEN and not bot:
            self._remark(event.target, f"rate {event.nick}", self._to(event, "that is too many questions; give me a minute"))
        if verdict is Verdict.LOOP_FOUND:
            self.say(event.target, [self._to(
                event, 'you answer me as a program would, so I stop here; to continue, say "reset"')])
        if verdict is not Verdict.ANSWER:
            log.info("not answering %s in %s: %s", event.nick, event.target, verdict.value)
        elif asked:
            self._ask(heard, key, bot)
        elif not bot:
            self._spoken(key, event.target, event.nick)
            self.say(event.target, [self._to(event, "yes?")])

    def _spoken(self, key: str, target: str, nick: str) -> None:
        """We answer somebody now."""
        self._guard.spoke(key, nick, self.link.now())
        self._answering.pop(fold(target), None)
        self._answering[fold(target)] = nick
        while len(self._answering) > _ANSWERING_MOST:
            self._answering.popitem(last=False)

    def _ask(self, heard: _Heard, key: str, bot: bool) -> None:
        event, allow = heard.event, self.config.may_use_tools()
        question = Question(
            key=key, target=event.target, asker=event.nick, private=event.private, bot=bot,
            tools=self.config.tools.enabled and (not allow or any(matches(mask, event.source) for mask in allow)),
            said=lambda: self._conversations.get(key).said(heard.line, self._quote), quote=self._quote,
        )
        if not self.desk.ask(question, self.nick):
            log.warning("busy; did not take a question of %s", event.nick)
            if not bot:
                self._remark(event.target, f"busy {event.nick}", self._to(
                    event, f"I am busy with {self.desk.queued + 1} other questions; please ask again later"))
        self.status.changed()

    def _briefly(self, event: Text, text: str, kind: str = "") -> None:
        """A few words of our own; those of a kind not again and again. A program that takes each for a question gets nothing."""
        key = _key(event)
        if self._guard.loops(key, event.nick, event.text, event.private, self.link.now()):
            log.info("not answering %s in %s: %s", event.nick, event.target, Verdict.LOOP.value)
            return
        self._spoken(key, event.target, event.nick)
        if kind:
            self._remark(event.target, kind, self._to(event, text))
        else:
            self.say(event.target, [self._to(event, text)])

    @staticmethod
    def _to(event: Text, text: str) -> str:
        return text if event.private else f"{event.nick}: {text}"

    # The few words understood without a model.

    def _obey(self, event: Text, asked: str) -> bool:
        word, argument = addressing.command(asked)
        key = _key(event)
        if word == addressing.MORE:
            page = self._pager.next_page(key, self.config.limits.answer_lines, self._room(event.target), self.link.now())
            if page is None:
                self._briefly(event, "there is no more", "more")
            else:
                self.say(event.target, page)
        elif word == addressing.STOP:
            session = self.link.session
            if session is not None:
                session.forget_waiting(event.target)
            self._briefly(event, "stopped" if self.desk.cancel(key) else "I am not doing anything")
        elif word == addressing.RESET:
            self._conversations.forget(key)
            self._guard.forgive(key, event.nick, event.text)
            self._briefly(event, "forgotten; we start afresh")
        elif word == addressing.HELP:
            self._briefly(event, "ask me anything by my nick or in private; also: more, stop, reset, leave", "help")
        elif word == addressing.LEAVE and (argument or not event.private):
            self._leave(event, argument or event.channel)
        else:
            return False
        return True

    def _leave(self, event: Text, channel: str) -> None:
        if self.config.invites_from() != "anyone" and not self._is_operator(event.source):
            self._briefly(event, "only my operators can send me away", "leave")
            return
        session = self.link.session
        if session is None or not session.in_channel(channel):
            self._briefly(event, f"I am not in {one_line(channel, 60)}", "leave")
            return
        log.info("leaving %s as %s asked", channel, event.source)
        self._forget_channel(channel)
        session.leave(channel, f"as {event.nick} asked")
        self.link.pump()

    def _on_invited(self, event: Invited) -> None:
        session = self.link.session
        # A channel of our own is joined, no matter who lets us in.
        home = self._is_home(event.channel)
        policy = self.config.invites_from()
        allowed = home or policy == "anyone" or (policy == "operators" and self._is_operator(event.source))
        if not allowed or session is None or session.in_channel(event.channel):
            log.info("not following the invitation of %s to %s", event.source, event.channel)
            return
        known = any(fold(name) == fold(event.channel) for name in self._channels)
        if len(self._channels) >= self.config.limits.channels and not known:
            log.warning("in too many channels to follow %s to %s", event.source, event.channel)
            return
        log.info("following %s to %s", event.source, event.channel)
        if not known:
            self._channels[event.channel] = ""
        if len(self._inviters) >= self.config.limits.channels:
            self._inviters.clear()
        self._inviters[fold(event.channel)] = event.source.partition("!")[0]
        session.join(event.channel, "", self.link.now())
        self.link.pump()

    def _on_joined(self, channel: str) -> None:
        log.info("joined %s", channel)
        self._inviters.pop(fold(channel), None)
        # Only an invitation is remembered: a server can also put us into channels by itself, or forward us to them.
        wanted = any(fold(name) == fold(channel) for name in self._channels)
        if wanted and not self._is_home(channel) and fold(channel) not in self._invited:
            self._invited[fold(channel)] = channel
            self._store.save(sorted(self._invited.values()))
        self._deliver()

    def _on_left(self, event: Left) -> None:
        log.info("left %s%s", event.channel, f": kicked by {event.by} ({event.reason})" if event.kicked else "")
        if event.kicked and not self._is_home(event.channel):
            # Somebody who kicks a guest does not want it back.
            self._forget_channel(event.channel)
            session = self.link.session
            if session is not None:
                session.leave(event.channel, "")

    def _forget_channel(self, channel: str) -> None:
        for name in [name for name in self._channels if fold(name) == fold(channel)]:
            del self._channels[name]
        if self._invited.pop(fold(channel), None) is not None:
            self._store.save(sorted(self._invited.values()))

    # Answers.

    def _answered(self, question: Question, result: Result) -> None:
        now = self.link.now()
        self.status.changed()
        if result.cancelled:
            return
        if question.bot:
            self._guard.answered(question.asker, now)
        self._spoken(question.key, question.target, question.asker)
        if result.note:
            self._last_error = result.note
            session = self.link.session
            if session is not None and not question.bot:
                session.notice(question.asker, result.note)
        if result.error:
            log.warning("no answer for %s: %s", question.asker, result.error)
            self._last_error = result.error
            if not question.bot:
                prefix = "" if question.private else f"{question.asker}: "
                self.say(question.target, lines_for_irc(f"{prefix}sorry, {result.error}", self._room(question.target)))
            return
        self._conversations.get(question.key).add(Line(self.nick, result.text, mine=True))
        text = result.text
        if not question.private and not addressing.begins_with_address(text):
            text = f"{question.asker}: {text}"
        room = self._room(question.target)
        lines = lines_for_irc(text, room)
        size = self.config.limits.answer_lines
        # A bot would take the offer of more for a question.
        page = lines[:size] if question.bot else self._pager.first_page(question.key, lines, size, room, now)
        self.say(question.target, page)

    # From outside.

    def reconfigure(self, config: Config, changes: List[str]) -> None:
        """Takes over a checked configuration without leaving IRC, and says what changed."""
        old, self.config = self.config, config
        self.desk.reconfigure(config)
        self._book.reconfigure(config)
        self._guard.reconfigure(config)
        if config.limits != old.limits:
            self._conversations = Conversations(config.limits)
        self._wish_for_channels()
        session = self.link.session
        if session is not None:
            for item in config.channels:
                session.join(*(item.partition(" ")[::2]), self.link.now())
            for item in old.channels:
                name = item.split(" ")[0]
                if not self._is_home(name) and fold(name) not in self._invited:
                    session.leave(name, "no longer configured")
        self.link.reconfigure(config)
        # After a change of servers this is said where we come back.
        self.announce(f"[reloaded: {', '.join(changes) or 'no changes'}]")
        self.status.changed()

    def become(self, config: Config) -> None:
        """This process is a copy of another agent's, made while that one was talking, and is told who it is: it comes to
        IRC again, under its own name. It knows what was said so far; what was asked is the other one's to answer, and so
        is what was still to be said."""
        other, self.config = self.config.name, config
        self._rng.seed(os.urandom(32))
        self._quote = secrets.token_hex(4)
        self.desk.start_over(config)
        self._pager = Pager()
        self._undelivered.clear()
        self._held.clear()
        self._remarked.clear()
        self._answering.clear()
        self._inviters.clear()
        self._last_error = ""
        self._book.forget_all()
        self._book.reconfigure(config)
        self._guard = Guard(config)
        self._wish_for_channels()
        self.link.start_over(config)
        self.status.start_over()
        self.announce(f"[forked from {other}]")

    def stop(self, reason: str) -> None:
        """Cancels what is being done and says goodbye."""
        self.desk.close()
        self.link.stop(reason)


def default_status_path(config_path: str) -> str:
    return os.path.join(os.path.dirname(os.path.abspath(config_path)), "agent-status.json")

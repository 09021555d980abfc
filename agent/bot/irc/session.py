"""One IRC connection as a state machine: bytes and the time go in, bytes and events come out.

It never touches a socket or a clock, so every misbehaviour of a server can be tested without waiting. `link` feeds
it. What is said goes through the pacer; only PONG, QUIT and the registration go ahead of it (and are charged).
"""

from __future__ import annotations

import logging
import random
import re
import time
from dataclasses import dataclass
from typing import Callable, Dict, List, Optional, Set, Tuple

from .. import __version__
from ..base.config import Config
from ..base.names import fold
from ..base.pacing import Pacer, TokenBucket
from ..base.text import one_line, strip_controls, wrap
from .denials import JOIN_REFUSED, SPEECH_REFUSED, denial
from .events import (
    Closing, Event, Invited, Joined, Left, NickChanged, PeerGone, PeerRenamed, Registered, Text, Trouble,
)
from .history import History
from .lookups import Lookups
from .outbox import Outbox
from .protocol import Features, LineBuffer, Message, build, parse
from .registration import NICK_REFUSED, SASL_FAILED, Registration

log = logging.getLogger("irc")

_COLLISION = re.compile(r"collision|collided|nick(?:name)? (?:is )?(?:in use|regained|released|recovered)|overridden"
                        r"|\b(?:ghost|regain|recover|release|enforce)", re.I)
# Bans of every letter, and what coming back soon does not mend: limits on connections, logins that are wanted. A server
# that throttles is none of them: the pauses between tries grow by themselves.
_UNWELCOME = re.compile(r"banned|\b[a-z][:-]?lined?\b|password|not (?:authori[sz]ed|welcome)|access denied|sasl access only"
                        r"|too many (?:\w+ ){0,2}connections|no more connections")
# Small servers and bouncers send no word about the message of the day, which otherwise ends the greeting.
_NO_MOTD_S = 5.0
_MOST_FORWARDS = 64
_REJOIN_S = 30.0
_REJOIN_LONGEST_S = 900.0
_LONGEST_HOST = 63
# Servers cut and prefix user names; nothing longer than this is shown anywhere in practice.
_LONGEST_USER = 20


@dataclass
class _Wish:
    """A channel we mean to be in."""

    name: str
    key: str
    delay: float
    due: float


class Session:
    def __init__(self, config: Config, channels: Dict[str, str], pacer: Pacer, rng: random.Random, now: float,
                 wall: Callable[[], float] = time.time) -> None:
        """`channels` maps the names to join to their keys (or ""). `wall` tells the time of day in seconds since 1970."""
        self._limits = config.limits
        self._buffer = LineBuffer()
        self._events: List[Event] = []
        self._outbox = Outbox(pacer, now)
        self._registration = Registration(config, rng, self._outbox.urgent, self._registration_failed)
        self._register_due = now + self._limits.register_s
        self.features = Features()
        self.registered = False
        # The server has finished greeting us: commands and text may go out.
        self.ready = False
        # Why the connection is over, once it is.
        self.closing = ""
        self.flooded = False
        self.unwelcome = False
        # What the server said before it closed the connection without a word.
        self.refusal = ""
        self.quitting = False
        self.nick = config.nick
        self._wanted = config.nick
        # The server cuts nicks to so many characters, as it showed when it took us in; 0 if it did not.
        self._nick_cut = 0
        self._regain_due: Optional[float] = None
        self._ready_due: Optional[float] = None
        self._history = History(wall)
        self._user_host = ""
        self._user_modes = ""
        self._channels: Dict[str, str] = {}
        self._wishes: Dict[str, _Wish] = {}
        # Where the server sends us instead of a channel that we asked for.
        self._forwards: Set[str] = set()
        for name, key in channels.items():
            self.join(name, key, now)
        self._lookups = Lookups(self.fold, self._outbox.command)
        self._ctcp = TokenBucket(3, 10.0, now)
        self._heard = now
        self._pinged: Optional[float] = None
        self._handlers = self._make_handlers()

    def _make_handlers(self) -> Dict[str, Callable[[Message, float], None]]:
        handlers: Dict[str, Callable[[Message, float], None]] = {
            "PING": self._on_ping, "ERROR": self._on_error, "KILL": self._on_kill,
            "JOIN": self._on_join, "PART": self._on_part, "KICK": self._on_kick, "QUIT": self._on_quit,
            "NICK": self._on_nick, "PRIVMSG": self._on_privmsg, "INVITE": self._on_invite, "CHGHOST": self._on_chghost,
            "001": self._on_welcome, "004": self._on_myinfo, "005": self._on_isupport, "376": self._on_ready,
            "422": self._on_ready, "396": self._on_host_changed, "464": self._on_banned, "465": self._on_banned,
            "311": self._on_whois, "335": self._on_whois, "318": self._on_whois_end, "401": self._on_whois_end,
            "BATCH": lambda message, now: self._history.batch(message), "PONG": self._on_pong, "NOTICE": self._on_notice,
            "FAIL": self._on_denied,
        }
        handlers.update({numeric: self._on_denied for numeric in (*JOIN_REFUSED, *SPEECH_REFUSED)})
        handlers.update({numeric: self._on_nick_refused for numeric in NICK_REFUSED})
        for name, handler in (("CAP", self._registration.on_cap), ("AUTHENTICATE", self._registration.on_authenticate),
                              ("903", self._registration.on_sasl_done),
                              *((numeric, self._registration.on_sasl_failed) for numeric in SASL_FAILED)):
            handlers[name] = self._while_registering(handler)
        return handlers

    def _while_registering(self, handler: Callable[[Message], None]) -> Callable[[Message, float], None]:
        def handle(message: Message, now: float) -> None:
            if not self.registered:
                handler(message)

        return handle

    def _registration_failed(self, reason: str, unwelcome: bool) -> None:
        self.unwelcome = self.unwelcome or unwelcome
        self._close(reason)

    # What the owner does.

    def feed(self, data: bytes, now: float) -> List[Event]:
        """Takes bytes from the server."""
        if data:
            self._heard, self._pinged = now, None
        for line in self._buffer.feed(data):
            message = parse(line)
            if message is None:
                log.debug("not understood: %s", one_line(line))
                continue
            if self.closing:
                break
            self._handle(message, now)
        return self._drain()

    def tick(self, now: float) -> List[Event]:
        """Does what is due by now."""
        if self.closing or self.quitting:
            return self._drain()
        if not self.registered and now >= self._register_due:
            self._close("the server did not register us in time")
        elif self._pinged is not None and now >= self._pinged + self._limits.ping_timeout_s:
            self._close("ping timeout: the server went silent")
        elif self.registered:
            if self._pinged is None and now >= self._heard + self._limits.ping_interval_s:
                self._pinged = now
                self._outbox.urgent(build("PING", trailing=f"fireclaw-{int(now)}"))
            if self._ready_due is not None and now >= self._ready_due:
                self._become_ready(now)
            if self._regain_due is not None and now >= self._regain_due:
                self._regain(now)
            self._events += self._lookups.overdue(now)
            if self.ready:
                self._join_due(now)
        return self._drain()

    def deadline(self, now: float) -> float:
        """When tick() or transmit() has something to do again."""
        if self.closing or self.quitting:
            return float("inf")
        if not self.registered:
            return self._register_due
        times = [self._heard + self._limits.ping_interval_s if self._pinged is None
                 else self._pinged + self._limits.ping_timeout_s]
        times.extend(due for due in (self._regain_due, self._ready_due) if due is not None)
        times.extend(self._lookups.deadlines())
        if self.ready:
            times.extend(wish.due for key, wish in self._wishes.items() if key not in self._channels)
            times.append(self._outbox.ready_at(now))
        return min(times)

    def transmit(self, now: float) -> bytes:
        """What may be sent at this moment."""
        lines: List[bytes] = []
        for line in self._outbox.take(now, only_urgent=self.quitting or not self.ready):
            if len(line) > self.features.linelen:
                # The server would cut it, and half a command can mean something else.
                log.warning("not sent, too long: %s", _loggable(line)[:80])
                continue
            log.debug("> %s", _loggable(line))
            lines.append(line)
        return b"".join(lines)

    def fold(self, name: str) -> str:
        return fold(name, self.features.casemapping)

    def in_channel(self, name: str) -> bool:
        return self.fold(name) in self._channels

    @property
    def channels(self) -> List[str]:
        return sorted(self._channels.values())

    def text_room(self, target: str) -> int:
        """How many bytes of text fit into one PRIVMSG once the server has put our name before it."""
        nick = max(len(self.nick.encode()), len(self._wanted))
        if self._user_host:
            user_host = len(self._user_host.encode())
        else:
            user_host = max(self.features.userlen + 1, _LONGEST_USER) + 1 + max(self.features.hostlen, _LONGEST_HOST)
        overhead = len(":! PRIVMSG  :\r\n") + nick + user_host + len(target.encode())
        return max(64, self.features.linelen - overhead)

    def say(self, target: str, text: str) -> bool:
        """Queues one line of text to a channel or a peer; splits it if it is too long. False if it was not taken:
        the target is invalid or too much is waiting already."""
        if not target or " " in target or "," in target or target.startswith(":"):
            return False
        for piece in wrap(strip_controls(text), self.text_room(target)):
            if not self._outbox.text(self.fold(target), target, piece):
                log.warning("too many lines waiting; dropped one to %s", target)
                return False
        return True

    def notice(self, nick: str, text: str) -> None:
        """Tells a peer something that no program answers. Cut to one line."""
        pieces = wrap(strip_controls(text), self.text_room(nick))
        if pieces and nick and " " not in nick and not nick.startswith(":"):
            self._outbox.command(build("NOTICE", nick, trailing=pieces[0]))

    def forget_waiting(self, target: str) -> None:
        """Takes back what was said to the target but not sent yet."""
        self._outbox.forget(self.fold(target))

    def join(self, name: str, key: str, now: float) -> None:
        """Joins as soon as that is possible, and comes back from then on. Asked for again, it is tried again at once."""
        wish = self._wishes.setdefault(self.fold(name), _Wish(name, key, _REJOIN_S, now))
        wish.due = min(wish.due, now)

    def reaches(self, target: str) -> bool:
        """Whether what is said to the target would arrive: a nick, or a channel that we are in (or a part of it)."""
        channel = self._channel_of(target)
        return not self.features.is_channel(channel) or self.in_channel(channel)

    def _channel_of(self, target: str) -> str:
        """The channel behind "@#channel", which is for those with a status there."""
        if self.in_channel(target) or not self.features.statusmsg:
            return target
        return target.lstrip(self.features.statusmsg)

    def leave(self, name: str, reason: str) -> None:
        folded = self.fold(name)
        self._wishes.pop(folded, None)
        if folded in self._channels:
            self._outbox.forget(folded)
            self._outbox.command(build("PART", self._channels[folded], trailing=_fit(reason)))

    def change_nick(self, nick: str, now: float) -> None:
        self._wanted = nick
        self._regain_due = now if self.registered and self._attainable() != self.nick else None

    def _attainable(self) -> str:
        """The nick that we want, as far as the server lets it have so many characters."""
        limits = [limit for limit in (self.features.nicklen, self._nick_cut) if limit]
        return self._wanted[: min(limits)] if limits else self._wanted

    def look_up(self, nick: str, now: float) -> None:
        """Asks who somebody is; a PeerInfo event follows, at the latest after five seconds."""
        self._lookups.ask(nick, now)

    def quit(self, reason: str) -> None:
        self.quitting = True
        self._outbox.urgent(build("QUIT", trailing=_fit(reason)))

    # What the server does.

    def _handle(self, message: Message, now: float) -> None:
        log.debug("< %s %s %s", message.source, message.command, _loggable_params(message))
        handler = self._handlers.get(message.command)
        if handler is None:
            return
        try:
            handler(message, now)
        except ValueError as error:
            # It gave a name that no message can carry.
            log.warning("invalid message from the server: %s", one_line(str(error)))

    def _on_ping(self, message: Message, now: float) -> None:
        self._outbox.urgent(build("PONG", trailing=message.params[-1] if message.params else ""))

    def _on_welcome(self, message: Message, now: float) -> None:
        if self.registered or not self._registration.welcome():
            return
        self.registered = True
        given = message.param(0)
        self.nick = given if given and " " not in given and not given.startswith(":") else self.nick
        self._history.registered(message)
        self._ready_due = now + _NO_MOTD_S
        if self._wanted.startswith(self.nick) and self._registration.nick == self._wanted:
            # Nobody has it, and this is what the server made of it.
            self._nick_cut = len(self.nick) if self.nick != self._wanted else 0
        elif self.nick != self._wanted:
            self._regain_due = now + self._limits.regain_s

    def _on_myinfo(self, message: Message, now: float) -> None:
        self._user_modes = message.param(3)

    def _on_isupport(self, message: Message, now: float) -> None:
        self.features.learn(message.params[1:-1])
        # Names folded before now may have been folded by another rule.
        self._channels = {self.fold(name): name for name in self._channels.values()}
        self._wishes = {self.fold(wish.name): wish for wish in self._wishes.values()}

    def _on_ready(self, message: Message, now: float) -> None:
        if self.registered:
            self._become_ready(now)

    def _become_ready(self, now: float) -> None:
        self._ready_due = None
        if self.ready:
            return
        self.ready = True
        self._events.append(Registered(self.nick))
        # Before any channel: servers spare bots the history of channels.
        bot_mode = self.features.bot_mode or ("B" if "B" in self._user_modes else "")
        if bot_mode:
            self._outbox.command(build("MODE", self.nick, "+" + bot_mode))
        self._join_due(now)
        if not self._wishes:
            # Without a JOIN to see ourselves in, this tells how others see us.
            self._outbox.command(build("WHOIS", self.nick))

    def _join_due(self, now: float) -> None:
        for key, wish in self._wishes.items():
            if key not in self._channels and now >= wish.due:
                self._outbox.command(build("JOIN", wish.name, *([wish.key] if wish.key else [])))
                wish.due = now + wish.delay
                wish.delay = min(_REJOIN_LONGEST_S, wish.delay * 2)

    def _on_denied(self, message: Message, now: float) -> None:
        def wished(name: str) -> str:
            wish = self._wishes.get(self.fold(name))
            return wish.name if wish is not None else ""

        if message.command == "470" and len(self._forwards) < _MOST_FORWARDS:
            self._forwards.add(self.fold(message.param(2)))
        event = denial(message, lambda name: self.in_channel(self._channel_of(name)), wished)
        if event is not None:
            self._events.append(event)

    def _on_pong(self, message: Message, now: float) -> None:
        self._history.pong(message.params[-1] if message.params else "")

    def _on_notice(self, message: Message, now: float) -> None:
        """Never anything to answer; but the server tells of old lines in one."""
        channel = self.fold(message.param(0))
        token = f"history-{int(now)}-{len(self._channels)}"
        if channel in self._channels and self._history.notice(channel, message, token):
            self._outbox.urgent(build("PING", trailing=token))

    def _is_me(self, nick: str) -> bool:
        return self.fold(nick) == self.fold(self.nick)

    def _learn_own_host(self, source: str) -> None:
        nick, mark, user_host = source.partition("!")
        if mark and "@" in user_host and self._is_me(nick):
            self._user_host = user_host

    def _on_join(self, message: Message, now: float) -> None:
        if not self._is_me(message.nick):
            return
        self._learn_own_host(message.source)
        for name in message.param(0).split(","):
            if not self.features.is_channel(name):
                continue
            key = self.fold(name)
            if key in self._forwards and key not in self._wishes:
                # To be put elsewhere is a refusal: nobody asked us to talk there.
                self._outbox.command(build("PART", name, trailing="forwarded here without asking for it"))
                continue
            self._channels[key] = name
            self._history.joined(key, message)
            # Where the server put us without being asked we stay, but do not come back to.
            if key in self._wishes:
                self._wishes[key].delay = _REJOIN_S
            self._events.append(Joined(name))

    def _lose_channel(self, name: str, reason: str, by: str, kicked: bool, now: float) -> None:
        key = self.fold(name)
        if self._channels.pop(key, None) is None:
            return
        self._history.left(key)
        for prefix in ("", *self.features.statusmsg):
            self._outbox.forget(prefix + key)
        if key in self._wishes:
            self._wishes[key].due = now + self._wishes[key].delay
        self._events.append(Left(name, strip_controls(reason), by, kicked))

    def _on_part(self, message: Message, now: float) -> None:
        for name in message.param(0).split(","):
            if self._is_me(message.nick):
                self._lose_channel(name, message.param(1), message.nick, False, now)

    def _on_kick(self, message: Message, now: float) -> None:
        if self._is_me(message.param(1)):
            self._lose_channel(message.param(0), message.param(2), message.nick, True, now)

    def _on_quit(self, message: Message, now: float) -> None:
        if not self._is_me(message.nick):
            self._events.append(PeerGone(message.nick))
            self._freed(message.nick, now)

    def _on_kill(self, message: Message, now: float) -> None:
        # If two have one nick, the server ends one or both; services do so for a nick's owner. This is not a ban.
        if self._is_me(message.param(0)) and not _COLLISION.search(message.params[-1]):
            self.unwelcome = True

    def _on_nick(self, message: Message, now: float) -> None:
        new = message.param(0)
        if not new or " " in new or new.startswith(":"):
            return
        if self._is_me(message.nick):
            self.nick = new
            self._regain_due = None if new == self._attainable() else now + self._limits.regain_s
            self._events.append(NickChanged(new))
        else:
            self._outbox.rename(self.fold(message.nick), self.fold(new), new)
            self._events.append(PeerRenamed(message.nick, new))
            self._freed(message.nick, now)

    def _freed(self, nick: str, now: float) -> None:
        if self._regain_due is not None and self.fold(nick) == self.fold(self._attainable()):
            self._regain_due = now

    def _regain(self, now: float) -> None:
        if self.nick == self._attainable():
            self._regain_due = None
            return
        self._regain_due = now + self._limits.regain_s
        self._outbox.command(build("NICK", self._attainable()))

    def _on_nick_refused(self, message: Message, now: float) -> None:
        if message.command == "437" and self.features.is_channel(message.param(1)):
            self._on_denied(message, now)
        elif not self.registered:
            self.nick = self._registration.on_nick_refused(message) or self.nick
        elif message.command == "432":
            self._regain_due = None
            self._events.append(Trouble(f"the server does not allow the nick {self._wanted}"))

    def _on_host_changed(self, message: Message, now: float) -> None:
        if self._is_me(message.param(0)) and message.param(1):
            user, _, host = message.param(1).rpartition("@")
            old_user = self._user_host.partition("@")[0]
            if user or old_user:
                self._user_host = f"{user or old_user}@{host}"

    def _on_chghost(self, message: Message, now: float) -> None:
        if self._is_me(message.nick) and len(message.params) >= 2:
            self._user_host = f"{message.param(0)}@{message.param(1)}"

    def _on_invite(self, message: Message, now: float) -> None:
        channel = message.param(1)
        if self._is_me(message.param(0)) and self.features.is_channel(channel):
            self._events.append(Invited(message.source, channel))

    def _on_privmsg(self, message: Message, now: float) -> None:
        target, text = message.param(0), message.param(1)
        # A source without "!" is a server: nobody to talk to.
        if "!" not in message.source or self._is_me(message.nick) or len(message.params) < 2:
            return
        channel = self._channel_of(target)
        private = self._is_me(target)
        if not private and not (self.features.is_channel(channel) and self.in_channel(channel)):
            return
        if self._history.is_player(message.source):
            self._on_notice(message, now)
            return
        if self._history.is_old("" if private else self.fold(channel), message):
            log.debug("an old line of %s is not answered", message.nick)
            return
        action = False
        if text.startswith("\x01"):
            command, _, argument = text.strip("\x01").partition(" ")
            if command.upper() != "ACTION":
                self._on_ctcp(message.nick, command.upper(), argument, now)
                return
            action, text = True, argument
        text = strip_controls(text).strip()
        if text:
            bot = "bot" in message.tags or "draft/bot" in message.tags
            self._events.append(Text(message.source, message.nick if private else target, private, text, action, bot,
                                     "" if private or channel == target else channel))

    def _on_ctcp(self, nick: str, command: str, argument: str, now: float) -> None:
        reply = {"VERSION": f"fireclaw agent {__version__}", "PING": strip_controls(argument)[:64]}.get(command)
        if reply is None or not nick or not self._ctcp.take(now):
            return
        self._outbox.command(build("NOTICE", nick, trailing=f"\x01{command} {reply}\x01"))

    def _on_whois(self, message: Message, now: float) -> None:
        nick = message.param(1)
        if message.command == "311" and self._is_me(nick):
            self._learn_own_host(f"{nick}!{message.param(2)}@{message.param(3)}")
        self._lookups.learn(message)

    def _on_whois_end(self, message: Message, now: float) -> None:
        self._events += self._lookups.end(message.param(1))

    def _on_banned(self, message: Message, now: float) -> None:
        self.unwelcome = True
        self.refusal = one_line(message.params[-1] if message.params else "no reason given")

    def _on_error(self, message: Message, now: float) -> None:
        reason = one_line(message.params[-1] if message.params else "no reason given")
        lowered = reason.lower()
        if "flood" in lowered or "sendq" in lowered or "recvq" in lowered:
            self.flooded = True
        if _UNWELCOME.search(lowered):
            self.unwelcome = True
        self._close(f"the server closed the connection: {reason}")

    def _close(self, reason: str) -> None:
        if not self.closing:
            self.closing = reason
            self._events.append(Closing(reason))

    def _drain(self) -> List[Event]:
        events, self._events = self._events, []
        return events


def _fit(reason: str) -> str:
    return wrap(strip_controls(reason), 250)[0] if reason.strip() else "bye"


def _loggable(line: bytes) -> str:
    text = line.decode("utf-8", "replace").rstrip()
    command = text.partition(" ")[0]
    return command + " ***" if command in ("PASS", "AUTHENTICATE", "OPER") else text


def _loggable_params(message: Message) -> Tuple[str, ...]:
    return ("***",) if message.command == "AUTHENTICATE" else tuple(message.params)

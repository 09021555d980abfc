"""The beginning of an IRC connection: capabilities, SASL, and a nick that the server accepts."""

from __future__ import annotations

import base64
import random
from typing import Callable, Dict, List, Optional, Set

from ..base.config import Config
from ..base.text import one_line
from .protocol import Message, build, nick_candidate

# Those with history keep a server from playing old lines to us, or let us know them by their time and their batch.
_CAPABILITIES = ("sasl", "message-tags", "chghost", "server-time", "batch", "draft/chathistory", "chathistory",
                 "znc.in/playback", "znc.in/server-time-iso")
SASL_FAILED = ("902", "904", "905", "906", "907", "908")
# The nick is bad, taken, collided with another's, or is not free yet.
NICK_REFUSED = ("432", "433", "436", "437")
_STANDARD_NICK = 9
_ATTEMPTS = 20
_MOST_OFFERED = 200


class Registration:
    """Drives one registration. It is over when the session sees 001; until then `failed` may be called, once, with
    why there will be none and whether the server does not want us (so that it is useless to ask again soon)."""

    def __init__(self, config: Config, rng: random.Random, send: Callable[[bytes], None],
                 failed: Callable[[str, bool], None]) -> None:
        self._wanted = config.nick
        self._sasl = config.server.sasl
        self._rng = rng
        self._send = send
        self._failed = failed
        self._authenticated = False
        self._offered: Dict[str, str] = {}
        # Asked for and neither granted nor refused yet; and whether a login is under way.
        self._asked: Set[str] = set()
        self._logging_in = False
        self._ended = False
        self._refusals = 0
        self._longest_nick = 30
        self.nick = config.nick
        if config.server.password:
            send(build("PASS", trailing=config.server.password))
        send(build("CAP", "LS", "302"))
        send(build("NICK", config.nick))
        send(build("USER", config.user, "0", "*", trailing=config.realname))

    def welcome(self) -> bool:
        """The server took us in. False if that is not good enough: there was to be a login first."""
        if self._sasl is not None and not self._authenticated:
            self._refuse("the server accepted us without it")
            return False
        return True

    def on_cap(self, message: Message) -> None:
        verb = message.param(1).upper()
        names = message.params[-1].split() if len(message.params) > 2 else []
        if verb == "LS":
            for item in names:
                name, _, value = item.partition("=")
                if len(self._offered) < _MOST_OFFERED:
                    self._offered[name] = value
            if message.param(2) != "*":
                self._request()
        elif verb in ("ACK", "NAK"):
            # A server can grant one by one; a refusal is for all that were asked for on one line.
            names = [name.lstrip("-~=") for name in names]
            self._asked.difference_update(names)
            if self._sasl is not None and "sasl" in names:
                if verb == "ACK":
                    self._logging_in = True
                    self._send(build("AUTHENTICATE", "PLAIN"))
                elif len(names) == 1:
                    self._refuse("the server does not allow SASL")
                    return
            if verb == "NAK" and len(names) > 1:
                for name in names:
                    self._ask([name])
            self._end()

    def _ask(self, names: List[str]) -> None:
        self._asked.update(names)
        self._send(build("CAP", "REQ", trailing=" ".join(names)))

    def _end(self) -> None:
        """Ends the negotiation once nothing is open any more."""
        if not self._asked and not self._logging_in and not self._ended:
            self._ended = True
            self._send(build("CAP", "END"))

    def _request(self) -> None:
        wanted: List[str] = [name for name in _CAPABILITIES if name in self._offered]
        if self._sasl is None:
            wanted = [name for name in wanted if name != "sasl"]
        elif "sasl" not in self._offered:
            self._refuse("the server offers no SASL")
            return
        elif self._offered["sasl"] and "PLAIN" not in self._offered["sasl"].upper().split(","):
            self._refuse("the server offers SASL without PLAIN")
            return
        if wanted:
            self._ask(wanted)
        self._end()

    def on_authenticate(self, message: Message) -> None:
        if self._sasl is None or message.param(0) != "+" or self._authenticated:
            return
        token = base64.b64encode(f"\0{self._sasl.user}\0{self._sasl.password}".encode()).decode()
        chunks = [token[start : start + 400] for start in range(0, len(token), 400)]
        if len(chunks[-1]) == 400:
            chunks.append("+")
        for chunk in chunks:
            self._send(build("AUTHENTICATE", chunk))

    def on_sasl_done(self, message: Message) -> None:
        self._authenticated = True
        self._logging_in = False
        self._end()

    def on_sasl_failed(self, message: Message) -> None:
        if self._sasl is not None and not self._authenticated:
            reason = one_line(message.params[-1] if message.params else "") or "no reason given"
            # 908 says which mechanisms.
            self._refuse(f"{one_line(message.param(1), 60)} {reason}" if message.command == "908" else reason)

    def _refuse(self, why: str) -> None:
        # Going on without the account could put the agent under another's name, so it does not.
        self._failed(f"SASL login failed: {why}", True)

    def on_nick_refused(self, message: Message) -> Optional[str]:
        """Tries the next name."""
        self._refusals += 1
        if self._refusals > _ATTEMPTS:
            self._failed("the server refused every nick", False)
            return None
        if message.command == "432":
            # Too long is the one complaint that can be met; nine characters is what the standard promises.
            too_long = self._longest_nick > _STANDARD_NICK
            self._longest_nick = _STANDARD_NICK if too_long else max(1, self._longest_nick - 1)
        self.nick = nick_candidate(self._wanted, self._refusals, self._longest_nick, self._rng.randrange(1000))
        self._send(build("NICK", self.nick))
        return self.nick

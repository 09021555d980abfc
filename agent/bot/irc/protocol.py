"""IRC messages as values: parsing, building, what a server offers. No state and no I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Dict, List, Optional

_COMMAND = re.compile(r"[A-Za-z]+|[0-9]{3}")
_TAG_ESCAPES = {":": ";", "s": " ", "\\": "\\", "r": "\r", "n": "\n"}
_FORBIDDEN = re.compile("[\r\n\x00]")

# More than any server sends (8191 bytes of tags and a 512 byte line); what is longer is not IRC.
LONGEST_LINE = 16384


@dataclass(frozen=True)
class Message:
    command: str
    params: List[str] = field(default_factory=list)
    source: str = ""
    tags: Dict[str, str] = field(default_factory=dict)

    @property
    def nick(self) -> str:
        """The sender's nick; a server's name if it comes from the server."""
        return self.source.partition("!")[0].partition("@")[0]

    def param(self, index: int) -> str:
        """The parameter, or nothing if there are fewer."""
        return self.params[index] if index < len(self.params) else ""


def _unescape_tag(value: str) -> str:
    out: List[str] = []
    chars = iter(value)
    for char in chars:
        if char == "\\":
            char = next(chars, "")
            char = _TAG_ESCAPES.get(char, char)
        out.append(char)
    return "".join(out)


def parse(line: str) -> Optional[Message]:
    """Reads one line without its end. None for what is not an IRC message."""
    tags: Dict[str, str] = {}
    source = ""
    if line.startswith("@"):
        raw_tags, _, line = line[1:].partition(" ")
        for item in raw_tags.split(";"):
            key, _, value = item.partition("=")
            if key:
                tags[key] = _unescape_tag(value)
        line = line.lstrip(" ")
    if line.startswith(":"):
        source, _, line = line[1:].partition(" ")
    line = line.lstrip(" ")
    head, colon, trailing = line.partition(" :")
    words = [word for word in head.split(" ") if word]
    if not words or not _COMMAND.fullmatch(words[0]):
        return None
    params = words[1:]
    if colon:
        params.append(trailing)
    return Message(words[0].upper(), params, source, tags)


def build(command: str, *params: str, trailing: Optional[str] = None) -> bytes:
    """One line ready to send. ValueError for anything that would not arrive as the one message it was meant to be."""
    if not _COMMAND.fullmatch(command):
        raise ValueError(f"not an IRC command: {command!r}")
    words = [command]
    for param in params:
        if not param or param.startswith(":") or " " in param:
            raise ValueError(f"not an IRC parameter: {param!r}")
        words.append(param)
    if trailing is not None:
        words.append(":" + trailing)
    line = " ".join(words)
    if _FORBIDDEN.search(line):
        raise ValueError(f"line break in an IRC message: {line!r}")
    return line.encode("utf-8", "replace") + b"\r\n"


class LineBuffer:
    """Puts a byte stream back into lines. What is longer than any IRC line is thrown away up to its end."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._skipping = False

    def feed(self, data: bytes) -> List[str]:
        self._rest += data
        lines: List[str] = []
        *whole, rest = bytes(self._rest).split(b"\n")
        self._rest = bytearray(rest)
        for raw in whole:
            if self._skipping:
                self._skipping = False
                continue
            raw = raw.rstrip(b"\r").replace(b"\x00", b"")
            if raw and len(raw) <= LONGEST_LINE:
                lines.append(decode(raw))
        if len(self._rest) > LONGEST_LINE:
            self._rest.clear()
            self._skipping = True
        return lines


def decode(raw: bytes) -> str:
    """UTF-8, or else what old clients send."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


@dataclass
class Features:
    """What the server says of itself in numeric 005."""

    casemapping: str = "rfc1459"
    chantypes: str = "#&"
    statusmsg: str = ""
    nicklen: int = 0
    userlen: int = 0
    hostlen: int = 0
    linelen: int = 512
    bot_mode: str = ""
    network: str = ""

    def learn(self, tokens: List[str]) -> None:
        for token in tokens:
            name, _, value = token.partition("=")
            if name == "CASEMAPPING" and value in ("ascii", "rfc1459", "strict-rfc1459"):
                self.casemapping = value
            elif name == "CHANTYPES" and value and set(value) <= set("#&+!"):
                self.chantypes = value
            elif name == "STATUSMSG":
                self.statusmsg = value
            elif name == "NETWORK":
                self.network = value
            elif name == "BOT" and re.fullmatch("[A-Za-z]", value):
                self.bot_mode = value
            elif name in ("NICKLEN", "USERLEN", "HOSTLEN") and re.fullmatch("[1-9][0-9]{0,3}", value):
                setattr(self, name.lower(), int(value))
            elif name == "LINELEN" and re.fullmatch("[1-9][0-9]{2,4}", value):
                self.linelen = max(512, int(value))

    def is_channel(self, name: str) -> bool:
        return len(name) > 1 and name[0] in self.chantypes and not re.search("[ ,\x00-\x1f]", name)


def nick_candidate(wanted: str, attempt: int, longest: int, chance: int) -> str:
    """The name to try after `attempt` (1, 2, ...) refusals: underscores first, then numbers picked by chance."""
    suffix = "_" * attempt if attempt <= 2 else str(chance % 1000)
    return wanted[: max(1, longest - len(suffix))] + suffix

"""The body of an answer as JSON values, whichever way the server frames them.

Server-sent events, a JSON object a line, one object for the whole answer (on one line or on many), events without blank
lines between them: all are texts with JSON values in them, so that is how they are read. Lines end with CR, LF or both.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Iterable, Iterator, List, Union

from ..base.text import one_line
from .transport import CUT_OFF, LlmError

NOT_ITS_PROTOCOL = "the LLM server sent something that is not its protocol; check llm.url and llm.api"
_LONGEST = 4 << 20
_FIELD = re.compile(r"(data|error|event|id|retry)[ \t]*:[ \t]?(.*)", re.S)
_OTHER_FIELD = re.compile(r"[A-Za-z][A-Za-z_-]{0,30}(:|$)")
_WORDS = re.compile(r'[^{}\[\]"]+')
_STRUCTURE = re.compile(r'\\.|["{}\[\]]')


class Done:
    """Stands for [DONE]."""


@dataclass(frozen=True)
class Words:
    """An event of plain words."""

    text: str


Value = Union[Done, Words, "dict[str, Any]"]


class _Scanner:
    """Finds the JSON objects and lists in text that arrives in pieces, each once, in linear time."""

    def __init__(self) -> None:
        self._parts: List[str] = []
        self._size = 0
        self._depth = 0
        self._quoted = False

    @property
    def inside(self) -> bool:
        return self._depth > 0

    def feed(self, text: str) -> Iterator[str]:
        """The texts of the values that end in this piece. LlmError for anything between values."""
        start = 0
        for match in _STRUCTURE.finditer(text):
            token = match.group()
            if self._quoted:
                self._quoted = token != '"'
            elif token == '"' and self._depth:
                self._quoted = True
            elif token in ("{", "["):
                if not self._depth:
                    self._between(text[start : match.start()])
                    start = match.start()
                self._depth += 1
            elif token in ("}", "]") and self._depth:
                self._depth -= 1
                if not self._depth:
                    yield "".join(self._parts) + text[start : match.end()]
                    self._parts.clear()
                    self._size = 0
                    start = match.end()
        if not self._depth:
            self._between(text[start:])
            return
        self._parts.append(text[start:] + "\n")
        self._size += len(text) - start + 1
        if self._size > _LONGEST:
            raise LlmError("the LLM server sent a value without end; gave up")

    @staticmethod
    def _between(text: str) -> None:
        words = text.strip(" \t\r\n,")
        if words and words != "null":
            # A page says nothing; a line of text can be the server's reason.
            said = "" if words.startswith("<") else one_line(words, 100)
            raise LlmError(NOT_ITS_PROTOCOL + (f" (it says: {said})" if said else ""))


class Values:
    """Takes the bytes of a body in pieces of any size and gives its values."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._skip_newline = False
        self._first = True
        self._events = False
        self._event = ""
        self._scanner = _Scanner()

    def feed(self, data: bytes) -> Iterator[Value]:
        if self._skip_newline and data:
            # The other half of a CR LF.
            self._skip_newline = False
            data = data[1:] if data[:1] == b"\n" else data
        for piece in data.splitlines(keepends=True):
            self._rest += piece
            if piece[-1:] in (b"\n", b"\r"):
                line = bytes(self._rest)
                self._rest.clear()
                self._skip_newline = piece[-1:] == b"\r"
                yield from self._line(line)
            elif len(self._rest) > _LONGEST:
                raise LlmError("the LLM server sent a line without end; gave up")

    def end(self) -> Iterator[Value]:
        """The body is over. LlmError if it ends within a value."""
        line = bytes(self._rest)
        self._rest.clear()
        if line:
            yield from self._line(line)
        if self._scanner.inside:
            raise LlmError(CUT_OFF)

    def _line(self, raw: bytes) -> Iterator[Value]:
        line = raw.decode("utf-8", "replace").rstrip("\r\n")
        if self._first:
            line = line[1:] if line.startswith("\ufeff") else line
        if not line.strip():
            if self._events and self._scanner.inside:
                raise LlmError(CUT_OFF)
            self._event = ""
            return
        self._first = False
        if self._scanner.inside and not self._events:
            yield from self._text(line)
            return
        line = line.lstrip()
        if line.startswith(":"):
            self._events = True
            return
        field = _FIELD.match(line)
        if field is None:
            # What the standard calls an unknown field means nothing; before the first event it is not the protocol.
            if not (self._events and _OTHER_FIELD.match(line)):
                yield from self._text(line)
            return
        self._events = True
        name, rest = field.groups()
        if name == "event":
            self._event = rest.strip()
        elif name == "error" or (name == "data" and self._event == "error"):
            yield from self._error(rest)
        elif name == "data" and rest.strip():
            if not self._scanner.inside and _WORDS.fullmatch(rest):
                # Some servers keep a connection alive so. It is the server's reason if no answer comes.
                if rest.strip() != "null":
                    yield Words(rest.strip())
                return
            yield from self._text("[DONE]" if rest.strip() == '"[DONE]"' else rest)

    def _text(self, text: str) -> Iterator[Value]:
        for found in self._scanner.feed(text):
            yield from _decoded(found)

    def _error(self, text: str) -> Iterator[Value]:
        """What is said of an error is one, whether it is an object or plain words."""
        try:
            value = json.loads(text, strict=False)
        except (ValueError, RecursionError):
            value = text.strip() or "an error without words"
        yield value if isinstance(value, dict) and value.get("error") else {"error": value}


def _decoded(text: str) -> Iterator[Value]:
    if text.strip("[] ") == "DONE":
        yield Done()
        return
    try:
        value = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        raise LlmError(NOT_ITS_PROTOCOL) from None
    for item in value if isinstance(value, list) else [value]:
        if not isinstance(item, dict):
            raise LlmError(NOT_ITS_PROTOCOL)
        yield item


def values_of(chunks: Iterable[bytes]) -> Iterator[Value]:
    values = Values()
    for chunk in chunks:
        yield from values.feed(chunk)
    yield from values.end()

"""Text on its way to and from IRC: made harmless, put on one line, cut to a number of bytes."""

from __future__ import annotations

import re
import unicodedata
from typing import List

_NEWLINES = re.compile("\r\n|[\r\n\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029]")
# Colours carry their arguments as digits, which would stay behind if only the control character went.
_COLOURS = re.compile("\x03(?:[0-9]{1,2}(?:,[0-9]{1,2})?)?|\x04(?:[0-9A-Fa-f]{6}(?:,[0-9A-Fa-f]{6})?)?")
_ANSI = re.compile("\x1b(?:\\[[0-?]*[ -/]*[@-~]|\\][^\x07\x1b]*(?:\x07|\x1b\\\\)?|[@-_])")
_FENCE = re.compile(r"\s*(?:```|~~~)[\w+.#-]*\s*")

_CONTROLS = {code: None for code in (*range(0x20), *range(0x7F, 0xA0))}
# Characters that turn the direction of what follows, and so can make a line read as something else.
_BIDI = {code: None for code in (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0xFEFF)}
_DROPPED = {**_CONTROLS, **_BIDI}
_DROPPED_BUT_NEWLINE = {code: None for code in _DROPPED if code != 0x0A}


def strip_controls(text: str) -> str:
    """One line without control characters, colours, direction marks or half characters; tabs become spaces."""
    text = _COLOURS.sub("", text).replace("\t", " ").translate(_DROPPED)
    return text.encode("utf-8", "replace").decode("utf-8")


def clean_block(text: str) -> str:
    """Several lines without terminal escapes and control characters but the newline."""
    text = _NEWLINES.sub("\n", _ANSI.sub("", text)).replace("\t", "    ").translate(_DROPPED_BUT_NEWLINE)
    return text.encode("utf-8", "replace").decode("utf-8")


def one_line(text: str, limit: int = 200) -> str:
    """The text on a single line of at most `limit` characters, for logs and error messages."""
    line = " ".join(strip_controls(_NEWLINES.sub(" ", text)).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _joins_backwards(line: str, index: int) -> bool:
    """Whether the character at `index` belongs to the one before it (accents, joined emoji)."""
    char = line[index]
    return (
        unicodedata.combining(char) != 0
        or char in "\u200d\ufe0e\ufe0f"
        or "\U0001f3fb" <= char <= "\U0001f3ff"
        or line[index - 1] == "\u200d"
    )


def wrap(line: str, room: int) -> List[str]:
    """Cuts one line into pieces of at most `room` bytes of UTF-8: between words, or else between characters."""
    if room < 4:
        raise ValueError(f"no room for text: {room} bytes a line")
    pieces: List[str] = []
    start = 0
    while start < len(line):
        end, size = start, 0
        while end < len(line):
            size += len(line[end].encode("utf-8", "replace"))
            if size > room:
                break
            end += 1
        if end == len(line):
            pieces.append(line[start:])
            break
        space = end if line[end] == " " else line.rfind(" ", start, end)
        if space > start and line[start:space].strip(" "):
            end = space
        else:
            cut = end
            while cut > start and end - cut < 16 and _joins_backwards(line, cut):
                cut -= 1
            if cut > start and end - cut < 16:
                end = cut
        pieces.append(line[start:end].rstrip(" "))
        start = end
        while start < len(line) and line[start] == " ":
            start += 1
    return [piece for piece in pieces if piece]


def lines_for_irc(text: str, room: int) -> List[str]:
    """An answer as lines of at most `room` bytes each, none empty; bare code fences are left out."""
    lines: List[str] = []
    for raw in _NEWLINES.split(text):
        if _FENCE.fullmatch(raw):
            continue
        line = strip_controls(raw).rstrip()
        if line.strip():
            lines.extend(wrap(line, room))
    return lines

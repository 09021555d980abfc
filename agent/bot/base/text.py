"""Text on its way to and from IRC: made harmless, put on one line, cut to a number of bytes."""

from __future__ import annotations

import re
import unicodedata
from typing import List, Tuple

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
    return line if len(line) <= limit else cut(line, limit - 1) + "…"


# What Unicode's rules on grapheme clusters (annex 29) need beyond the categories that Python knows. First, what joins
# the character before it without being a mark: joiners, tones of skin, half-width sound marks, tags, two vowels.
_EXTENDING = ((0x0E33, 0x0E33), (0x0EB3, 0x0EB3), (0x200C, 0x200D), (0xFF9E, 0xFF9F), (0x1F3FB, 0x1F3FF), (0xE0020, 0xE007F))
# What the character after it joins.
_PREPENDED = ((0x0600, 0x0605), (0x06DD, 0x06DD), (0x070F, 0x070F), (0x0890, 0x0891), (0x08E2, 0x08E2), (0x0D4E, 0x0D4E),
              (0x110BD, 0x110BD), (0x110CD, 0x110CD), (0x111C2, 0x111C3), (0x1193F, 0x1193F), (0x11941, 0x11941),
              (0x11A3A, 0x11A3A), (0x11A84, 0x11A89), (0x11D46, 0x11D46), (0x11F02, 0x11F02))
# Marks that tie two consonants of an Indic script into one.
_LINKERS = "\u094d\u09cd\u0acd\u0b4d\u0c4d\u0d4d\u1039\u17d2\u1a60\u1bab\ua9c0\uaaf6\U00010a3f\U00011133\U000113d0\U0001193e"
_HANGUL = ((0x1100, 0x115F, "L"), (0xA960, 0xA97C, "L"), (0x1160, 0x11A7, "V"), (0xD7B0, 0xD7C6, "V"),
           (0x11A8, 0x11FF, "T"), (0xD7CB, 0xD7FB, "T"))
_HANGUL_PAIRS = {"LL", "LV", "LS", "LB", "VV", "VT", "SV", "ST", "BT", "TT"}


def _within(char: str, ranges: Tuple[Tuple[int, int], ...]) -> bool:
    return any(low <= ord(char) <= high for low, high in ranges)


def _extends(char: str) -> bool:
    return char > "\x7f" and (unicodedata.category(char) in ("Mn", "Me", "Mc") or _within(char, _EXTENDING))


def _hangul(char: str) -> str:
    """Leading, vowel or trailing sign, syllable with a trailing sign (B) or without (S); empty for anything else."""
    code = ord(char)
    if 0xAC00 <= code <= 0xD7A3:
        return "B" if (code - 0xAC00) % 28 else "S"
    return next((kind for low, high, kind in _HANGUL if low <= code <= high), "")


def _flags_before(line: str, index: int) -> int:
    """How many halves of flags stand right before `index`."""
    start = index
    while start > 0 and "\U0001f1e6" <= line[start - 1] <= "\U0001f1ff":
        start -= 1
    return index - start


def _joins_backwards(line: str, index: int) -> bool:
    """Whether the character at `index` belongs to the one before it: accents, flags, families, syllables."""
    before, char = line[index - 1], line[index]
    if char <= "\x7f" and before <= "\x7f":
        return False
    if _extends(char) or before == "\u200d" or _within(before, _PREPENDED):
        return True
    if "\U0001f1e6" <= char <= "\U0001f1ff":
        return _flags_before(line, index) % 2 == 1
    if before in _LINKERS:
        return unicodedata.category(char) == "Lo"
    return _hangul(before) + _hangul(char) in _HANGUL_PAIRS


def _boundary(line: str, start: int, end: int) -> int:
    """The last place in line[start:end] where a reader would see two characters; `end` if there is none."""
    cut = end
    while cut > start and cut < len(line) and _joins_backwards(line, cut):
        cut -= 1
    return cut if cut > start else end


def cut(text: str, limit: int) -> str:
    """The beginning of the text, at most `limit` code points, without half of a character."""
    return text if len(text) <= limit else text[: _boundary(text, 0, limit)]


def wrap(line: str, room: int) -> List[str]:
    """Cuts one line into pieces of at most `room` bytes of UTF-8: between words, or else between characters. A word that is
    longer than a line is cut where it stands; many scripts know no spaces."""
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
        if space > start and line[start:space].strip(" ") and _fits(line, space, room):
            end = space
        else:
            end = _boundary(line, start, end)
        pieces.append(line[start:end].rstrip(" "))
        start = end
        while start < len(line) and line[start] == " ":
            start += 1
    return [piece for piece in pieces if piece]


def _fits(line: str, space: int, room: int) -> bool:
    """Whether the word after the space fits a line."""
    word = line[space : space + room + 2].lstrip(" ").partition(" ")[0]
    return len(word.encode("utf-8", "replace")) <= room


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

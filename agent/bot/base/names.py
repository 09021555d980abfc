"""Names and masks as IRC compares them."""

from __future__ import annotations

_RFC1459_STRICT = str.maketrans("[]\\", "{}|")
_RFC1459 = str.maketrans("[]\\^", "{}|~")


def fold(name: str, mapping: str = "rfc1459") -> str:
    """The name as the server compares it (ISUPPORT CASEMAPPING)."""
    lower = "".join(chr(ord(char) + 32) if "A" <= char <= "Z" else char for char in name)
    if mapping == "ascii":
        return lower
    return lower.translate(_RFC1459_STRICT if mapping == "strict-rfc1459" else _RFC1459)


def matches(pattern: str, text: str) -> bool:
    """Whether the text fits a mask with `*` and `?`, as IRC compares them. Takes linear time on ordinary masks and
    never more than pattern times text."""
    pattern, text = fold(pattern), fold(text)
    p = t = 0
    star, mark = -1, 0
    while t < len(text):
        if p < len(pattern) and pattern[p] == "*":
            star, mark = p, t
            p += 1
        elif p < len(pattern) and pattern[p] in ("?", text[t]):
            p += 1
            t += 1
        elif star >= 0:
            mark += 1
            p, t = star + 1, mark
        else:
            return False
    return all(char == "*" for char in pattern[p:])

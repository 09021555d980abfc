"""What a model calls a tool with, read as leniently as it can be without running something else than it wrote."""

from __future__ import annotations

import ast
import io
import json
import re
import tokenize
from typing import Any, Dict, Tuple

# Of a text that is read as Python.
LONGEST_PYTHON = 20000
_FENCED = re.compile(r"```\w*\s(.*)```", re.S)
# Escapes that JSON does not have, or that Python reads in another way: \1 is a control character, \ud83d half of one.
_OTHER_ESCAPE = re.compile(r"\\(?![\"'\\bfnrt]|u(?![dD][89a-fA-F])[\da-fA-F]{4})")


def joins_strings(text: str) -> bool:
    """Whether two strings stand side by side on a line. Python makes one of them; "echo "" x" means the quotes in it."""
    before, line = 0, 0
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == before == tokenize.STRING and token.start[0] == line:
                return True
            before, line = token.type, token.end[0]
    except (tokenize.TokenError, SyntaxError, ValueError):
        pass
    return False


def literal(text: str) -> Any:
    """JSON as Python would write it: quotes of the other kind, a comma too many. None for anything else, also for strings
    that Python reads in another way than JSON."""
    text = text.strip()
    if len(text) > LONGEST_PYTHON or _OTHER_ESCAPE.search(text.replace("\\\\", "")) or joins_strings(text):
        return None
    try:
        value = ast.literal_eval(text)
        # A set, say, is Python's alone.
        json.dumps(value)
        return value
    except (SyntaxError, TypeError, ValueError, RecursionError, MemoryError):
        return None


def read_arguments(raw: object) -> Tuple[Dict[str, Any], str]:
    """A tool call's arguments as an object, and what is wrong with them ("" if nothing is)."""
    # Some servers write the text as a JSON string once more.
    for _ in range(2):
        if isinstance(raw, str):
            if not raw.strip():
                return {}, ""
            try:
                raw = _one_of(raw)
            except (ValueError, RecursionError) as error:
                return {}, f"the arguments are not valid JSON ({error}); send them again"
    if raw is None or raw == []:
        return {}, ""
    if isinstance(raw, list) and len(raw) == 1:
        raw = raw[0]
    if not isinstance(raw, dict):
        return {}, "the arguments must be a JSON object; send them again"
    return raw, ""


def _one_of(text: str) -> Any:
    """The value in a text. Some models put a fence around it, or write it as Python."""
    text = text.strip()
    fenced = _FENCED.fullmatch(text)
    text = fenced.group(1).strip() if fenced else text
    try:
        return _json_in(text)
    except ValueError:
        python = literal(text)
        if text == "None" or isinstance(python, dict):
            return python
        raise


def _json_in(text: str) -> Any:
    """The JSON value in a text. Some servers send {} before it, or send it twice."""
    decoder = json.JSONDecoder(strict=False)
    value, end = decoder.raw_decode(text)
    while end < len(text):
        rest = text[end:].lstrip()
        if not rest.startswith("{"):
            # Says what is wrong with it.
            return json.loads(text, strict=False)
        following, length = decoder.raw_decode(rest)
        if value not in ({}, following):
            return json.loads(text, strict=False)
        value, end = following, len(text) - len(rest) + length
    return value

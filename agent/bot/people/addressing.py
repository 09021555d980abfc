"""Finds out who is addressed by a line, and the few words that the agent understands without a model."""

from __future__ import annotations

import re
from typing import Optional, Tuple

_NICK_CHARS = r"A-Za-z0-9\[\]\\`_^{|}-"
# Servers can allow letters of any script, and relays put the network behind a stroke.
_ADDRESS = re.compile(rf"(?:@[\w/{_NICK_CHARS}]+[:,]?|[\w/{_NICK_CHARS}]+:)(?=\s)")
# What stands behind a name that is spoken to, in any script.
_AFTER_NAME = ":,;：，；、،؛"
_PUNCTUATION = " .!?。！？؟"

MORE = "more"
LEAVE = "leave"
STOP = "stop"
RESET = "reset"
HELP = "help"
_COMMANDS = {
    "more": MORE, "leave": LEAVE, "part": LEAVE, "please leave": LEAVE, "go away": LEAVE,
    "stop": STOP, "cancel": STOP, "reset": RESET, "forget this": RESET, "help": HELP,
}


def question(text: str, nick: str, trigger: str) -> Optional[str]:
    """What the line asks of `nick`, without the address; None if it is not meant for it.

    Addressed is "nick: …", "nick, …", "nick; …", "nick : …" (but not "nick :)"), "@nick" anywhere as a word of its own, and what
    the trigger adds: "all" takes every line, any other word but "mention" takes the lines that begin with it."""
    name = re.escape(nick)
    start = re.match(rf"(?:@{name}(?![{_NICK_CHARS}])[{_AFTER_NAME}]?|{name}(?:[{_AFTER_NAME}]|\s+:(?=\s)))\s*", text,
                     re.IGNORECASE)
    if start:
        return text[start.end() :].strip()
    if re.search(rf"(?<![@.{_NICK_CHARS}])@{name}(?![{_NICK_CHARS}])", text, re.IGNORECASE):
        return text.strip()
    if trigger == "all":
        return text.strip()
    if trigger != "mention" and text[: len(trigger)].casefold() == trigger.casefold():
        rest = text[len(trigger) :]
        # A word triggers as a word: "ai" does not answer to "aim".
        if not trigger[-1].isalnum() or not rest or not rest[0].isalnum():
            return rest.lstrip(" " + _AFTER_NAME).strip()
    return None


def command(text: str) -> Tuple[str, str]:
    """The command that the whole text is, and its argument; ("", "") for anything else."""
    words = text.strip(_PUNCTUATION).casefold()
    if words in _COMMANDS:
        return _COMMANDS[words], ""
    verb, _, argument = words.partition(" ")
    if verb in ("leave", "part") and argument[:1] in ("#", "&", "+", "!") and " " not in argument:
        return LEAVE, argument
    return "", ""


def begins_with_address(text: str) -> bool:
    """Whether the line already names its addressee ("nick: …" or "@nick …")."""
    return _ADDRESS.match(text) is not None

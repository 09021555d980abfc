"""A model's thoughts, told apart from its answer where the server left both in one text.

A thought stands at the beginning, between brackets that every family of models writes differently; or the template
opened it and only its end is in the text. A bracket anywhere else is part of an answer: it can be about brackets.
"""

from __future__ import annotations

import itertools
import json
import re
from typing import Tuple

_NAMES = r"(?:[a-z]{1,12}:)?(?:think|thinking|thoughts?|reasoning|reason|reflection|analysis|scratch_?pad|inner_monologue)"
# Openings with what closes them; a name in the opening stands for {0} in the closing.
_BRACKETS = tuple((re.compile(r"[\s\ufeff\u200b]*" + opening, re.I), closing) for opening, closing in (
    (rf"<({_NAMES})(?:\s[^<>]*)?>", r"</{0}\s*>"),
    (r"\[(think|thinking|reasoning)\]", r"\[/{0}\]"),
    (r"◁(think)▷", r"◁/{0}▷"),
    (r"<\|?(start_thinking)\|>", r"<\|?end_thinking\|>"),
    (r"<\|(think|thinking|thought)\|>", r"<\|/{0}\|>"),
    # An answer can begin with these words too: they are a bracket only with their closing.
    (r"here(?: is|'s) my (thought) process:(?=(?s:.*)here(?: is|'s) my response:)", r"here(?: is|'s) my response:"),
    (r"<\|(begin_of_thought)\|>", r"<\|end_of_thought\|>"),
    (r"here are my (reasoning) steps:(?=(?s:.*)\[begin final response\])", r"\[begin final response\]"),
    (r"<\|(inner_prefix)\|>", r"<\|inner_suffix\|>"),
    (r"<\|(thought_start)\|>", r"<\|thought_end\|>"),
    (r"<\|channel>(thought)", r"<channel\|>"),
    (r"<unused94>(thought)", r"<unused95>"),
))
_ENDS = re.compile(
    rf"</{_NAMES}\s*>|\[/(?:think|thinking|reasoning)\]|◁/think▷|<\|?end_thinking\|>|<\|end_of_thought\|>|<\|inner_suffix\|>",
    re.I)
_STARTS = re.compile(
    rf"<{_NAMES}(?:\s[^<>]*)?>|\[(?:think|thinking|reasoning)\]|◁think▷|<\|?start_thinking\|>|<\|begin_of_thought\|>"
    r"|<\|inner_prefix\|>", re.I)
_RESPONSE = re.compile(r"\A\s*(?:<\|?(?:start_response|begin_of_solution)\|>|<(?:answer|response)>)"
                       r"|(?:<\|?(?:end_response|end_of_solution)\|>|</(?:answer|response)>"
                       r"|\[end final response\])\s*\Z", re.I)
_BOX = re.compile(r"<\|begin_of_box\|>([^<]*)<\|end_of_box\|>")
# What a template puts around a turn. It is at the end of an answer where the server did not know it for the end. Where a
# space, or a colon and a new line, stands before it, the answer speaks of it.
_TURN_BEGINS = re.compile(r"\s*(?:<\|begin_of_text\|>)?(?:<\|im_start\|>assistant\s*\n"
                          r"|<\|start_header_id\|>assistant<\|end_header_id\|>|<start_of_turn>model\s*\n)")
_SPOKEN_OF = r"(?<![^.!?…。！？][ \t])(?<!:\n)(?<!:\n\n)"
_TURN_ENDS = re.compile(_SPOKEN_OF + r"(?:<\|(?:im_end|eot(?:_id)?|eom_id|end|endoftext|end_of_text|observation|user|return"
                        r"|END_OF_TURN_TOKEN)\|>|<end_of_(?:turn|utterance)>|<turn\|>|<｜end▁of▁sentence｜>"
                        r"|\[\|endofturn\|\])\s*\Z")
_SENTENCE_END = re.compile(_SPOKEN_OF + r"</s>\s*\Z")
# A thought about ends names a few.
_MOST_ENDS = 8
_HARMONY = re.compile(r"\s*(?:<\|start\|>\w*[^<]{0,80})?<\|channel\|>")
_CHANNEL = re.compile(r"(?:<\|start\|>(?P<role>[^<]*))?<\|channel\|>(?P<head>[^<]*)(?:<\|constrain\|>[^<]*)?<\|message\|>"
                      r"(?P<body>.*?)(?=<\|(?:end|return|call|start|channel)\|>|\Z)", re.S)
# The same where the server has left the marks out.
_BARE_HARMONY = re.compile(r"\s*analysis(?P<thought>.+?)assistant(?:final(?P<answer>[A-Z0-9\W].*)"
                           r"|commentary to=functions\.(?P<name>[\w.-]+?) ?json(?P<arguments>\{.*))\Z", re.S)
_BARE_NEXT = re.compile(r"assistant(?:final|commentary to=functions\.)")
# The beginning that a server has cut off with the prompt; and a message without a channel.
_HALF_HARMONY = re.compile(r"\A\s*(?=(?:analysis|commentary|final)(?: to=[\w.:-]+)?"
                           r"(?: ?<\|constrain\|> ?\w+| \w+)?\s?<\|message\|>)")
_NO_CHANNEL = re.compile(r"<\|start\|>assistant(?=<\|message\|>)")
_RECIPIENT = re.compile(r"\bto=(?:functions\.)?([\w.-]+)")


def split_thoughts(text: str) -> Tuple[str, str]:
    """The answer and the thoughts in a text that is over. A thought that never ended is one to the end."""
    # An answer about harmony has its marks, too: only a text that begins as a message is read as one.
    messages = _HALF_HARMONY.sub("<|channel|>", _NO_CHANNEL.sub("<|start|>assistant<|channel|>final", text), count=1) \
        if "<|message|>" in text else text
    if _HARMONY.match(messages):
        return _split_channels(messages)
    bare = _BARE_HARMONY.match(text) if text.lstrip().startswith("analysis") and _BARE_NEXT.search(text) else None
    if bare is not None:
        return (_written(bare.group("name"), bare.group("arguments")) if bare.group("name") else bare.group("answer").strip(),
                bare.group("thought").strip())
    text = _without_turn_marks(text)
    thoughts = []
    found = True
    while found:
        found = False
        for opening, closing in _BRACKETS:
            start = opening.match(text)
            if start is not None:
                end = _closing(re.compile(closing.format(re.escape(start.group(1))), re.I), text, start.end())
                thoughts.append(text[start.end() : end.start() if end else len(text)])
                text = text[end.end() :] if end else ""
                found = True
                break
    end_at = _end_without_beginning(text)
    if end_at is not None:
        thoughts.append(text[: end_at[0]])
        text = text[end_at[1] :]
    if thoughts:
        text = _BOX.sub(r"\1", _RESPONSE.sub("", text))
    return text.strip(), "\n".join(filter(None, (thought.strip() for thought in thoughts)))


def _closing(closing: "re.Pattern[str]", text: str, start: int) -> "re.Match[str] | None":
    """The first end that is not in code of the thought; any, if all are."""
    ends = list(itertools.islice(closing.finditer(text, start), _MOST_ENDS))
    return next((end for end in ends if not _in_code(text[start:], end.start() - start)), ends[0] if ends else None)


def _end_without_beginning(text: str) -> "Tuple[int, int] | None":
    """Where the end of a thought stands that the template opened. None in code, or where it is a word of a sentence."""
    end = _ENDS.search(text)
    if end is None or _STARTS.search(text, 0, end.start()) is not None or _in_code(text, end.start()):
        return None
    before, after = text[: end.start()], text[end.end() : end.end() + 1]
    line = before.rpartition("\n")[2].rstrip(" \t")
    closes_line = not text[end.end() :].partition("\n")[0].strip()
    begins_line = not line or line[-1] in ".!?…:;)]}"
    glued = bool(before) and not (before[-1].isspace() or before[-1] in "\"'`(“‘«") \
        and not (after.isspace() or after in "\"'`).,;:!?”’»")
    return (end.start(), end.end()) if closes_line or begins_line or glued else None


def _in_code(text: str, position: int) -> bool:
    before = text[:position]
    fences = sum(line.lstrip().startswith(("```", "~~~")) for line in before.split("\n"))
    return fences % 2 == 1 or before.rpartition("\n")[2].count("`") % 2 == 1


def _without_turn_marks(text: str) -> str:
    beginning = _TURN_BEGINS.match(text)
    text = text[beginning.end() :] if beginning else text
    for _ in range(_MOST_ENDS):
        text = text.rstrip()
        tail = max(0, len(text) - 40)
        end = _TURN_ENDS.search(text, tail) or (_SENTENCE_END.search(text, tail) if "<s>" not in text else None)
        text = text[: end.start()] if end else text
    return text


def _written(name: str, arguments: str) -> str:
    return f'<tool_call>{{"name": {json.dumps(name)}, "arguments": {arguments.strip() or "{}"}}}</tool_call>'


def _split_channels(text: str) -> Tuple[str, str]:
    """The channels of OpenAI's harmony format. A message to a function becomes a call written as text."""
    final, other, thoughts = [], [], []
    for match in _CHANNEL.finditer(text):
        head, body = match.group("head"), match.group("body").strip()
        recipient = _RECIPIENT.search(f"{match.group('role') or ''} {head}")
        if recipient is not None:
            final.append(_written(recipient.group(1), body))
        elif head.split()[:1] == ["final"]:
            final.append(body)
        elif head.split()[:1] == ["commentary"]:
            other.append(body)
        else:
            thoughts.append(body)
    return "\n".join(final or other).strip(), "\n".join(thoughts)

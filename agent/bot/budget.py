"""Keeps what the model is given within what it can read.

A server cuts a prompt that is too long wherever it likes, often the question or the rules. So it is cut here first, where
it hurts least: old tool output, then old conversation, then the latest tool output. Tokens are not counted but
estimated, on the cautious side for European languages and code.
"""

from __future__ import annotations

import dataclasses
from typing import List

from .config import Llm
from .llm import Said

CHARS_PER_TOKEN = 3
_ANSWER_TOKENS = 1024
_STUB = 160
_NOTES_GO_ON = "\n[… more notes than fit here; look further with search_memory]"


def room_for(llm: Llm, beside: int) -> int:
    """How many characters the messages may have, if `beside` characters go with them in other fields."""
    answer = min(llm.max_tokens or _ANSWER_TOKENS, llm.num_ctx // 4)
    return max(1000, (llm.num_ctx - answer) * CHARS_PER_TOKEN - beside)


def shorten_notes(notes: str, room: int) -> str:
    """The first lines of the notes, as many as a quarter of the room holds."""
    limit = room // 4
    if len(notes) <= limit:
        return notes
    kept = notes[: max(0, limit - len(_NOTES_GO_ON))]
    return kept.rpartition("\n")[0] + _NOTES_GO_ON


def _size(said: Said) -> int:
    return len(said.content) + sum(len(call.name) + len(str(call.arguments)) for call in said.calls)


def _shortened(said: Said, limit: int) -> Said:
    """The message with the middle of its text left out; the marks at both ends stay."""
    if len(said.content) <= limit:
        return said
    half = limit // 2
    text = f"{said.content[:half]}\n[… left out to make room …]\n{said.content[-half:]}"
    return dataclasses.replace(said, content=text) if len(text) < len(said.content) else said


def fit(messages: List[Said], question: int, room: int) -> List[Said]:
    """The messages within the room, as far as that goes. messages[0] is the system prompt, messages[question] the
    question; what stands between them is old conversation, what follows are tool calls and their results."""
    kept = list(messages)
    excess = sum(_size(said) for said in kept) - room
    outputs = [index for index in range(question + 1, len(kept)) if kept[index].role == "tool"]
    for index in outputs[:-1]:
        if excess > 0:
            shorter = _shortened(kept[index], _STUB)
            excess -= _size(kept[index]) - _size(shorter)
            kept[index] = shorter
    first = 1
    while excess > 0 and first < question:
        excess -= _size(kept[first])
        first += 1
    # Some models refuse a conversation that begins with an answer.
    while first < question and kept[first].role == "assistant":
        first += 1
    for index in [*outputs[-1:], question]:
        if excess > 0:
            shorter = _shortened(kept[index], max(_STUB, len(kept[index].content) - excess - 40))
            excess -= _size(kept[index]) - _size(shorter)
            kept[index] = shorter
    return kept[:1] + kept[first:]

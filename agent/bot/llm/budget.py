"""Keeps what the model is given within what it can read.

A server cuts a prompt that is too long wherever it likes, often the question or the rules, or refuses it. So it is cut
here first, where it hurts least: old tool output, then old conversation, then the latest tool output. Tokens are
estimated by the bytes of UTF-8, which is about right for every script, and servers that count them correct the estimate.
"""

from __future__ import annotations

import dataclasses
from typing import List, Sequence

from ..base.config import Llm
from .conversation import Said, alternating

BYTES_PER_TOKEN = 3
# What a template puts around every message, in bytes.
_AROUND = 12
_ANSWER_TOKENS = 1024
_LEAST_ROOM = 1000
_STUB = 160
_NOTES_GO_ON = "\n[… more notes than fit here; look further with search_memory]"
_GAP = "\n[… left out to make room …]\n"


def size_of(messages: Sequence[Said]) -> int:
    """How many bytes the messages come to in a prompt."""
    return sum(_size(said) for said in messages)


class Meter:
    """How much one model on one server reads: what the configuration says, and what the server says it really is."""

    _LEAST_SCALE = 0.6
    _MOST_SCALE = 6.0

    def __init__(self, llm: Llm) -> None:
        self._llm = llm
        self.context_tokens = llm.num_ctx
        # Tokens that a server counted for each that was estimated.
        self.scale = 1.0

    def room(self, beside: int) -> int:
        """How many bytes the messages can have, if `beside` bytes go with them in other fields."""
        answer = min(self._llm.max_tokens or _ANSWER_TOKENS, self.context_tokens // 4)
        return max(_LEAST_ROOM, int((self.context_tokens - answer) * BYTES_PER_TOKEN / self.scale) - beside)

    def learn(self, sent: int, tokens: int) -> None:
        """The server counted so many tokens in a prompt of `sent` bytes. More than was estimated counts at once; less only
        by and by, since some servers count what they had read before as nothing."""
        if tokens <= 0 or sent <= 0:
            return
        seen = min(self._MOST_SCALE, max(self._LEAST_SCALE, tokens * BYTES_PER_TOKEN / sent))
        self.scale = seen if seen > self.scale else self.scale + (seen - self.scale) / 4

    def refused(self, sent: int, context_tokens: int, prompt_tokens: int) -> None:
        """The server refused a prompt of `sent` bytes as too long; what it said of tokens is 0 if it did not."""
        if prompt_tokens:
            self.scale = max(self.scale, min(self._MOST_SCALE, prompt_tokens * BYTES_PER_TOKEN / max(1, sent)))
        estimate = int(sent * self.scale / BYTES_PER_TOKEN)
        if 0 < context_tokens < self.context_tokens:
            self.context_tokens = context_tokens
        elif not prompt_tokens:
            # It knows better than the estimate that this was too long.
            self.context_tokens = max(256, min(self.context_tokens, estimate) * 2 // 3)


def shorten_notes(notes: str, room: int) -> str:
    """The first lines of the notes, as many as a quarter of the room holds."""
    limit = room // 4
    if len(notes.encode()) <= limit:
        return notes
    kept = notes.encode()[: max(0, limit - len(_NOTES_GO_ON.encode()))].decode("utf-8", "ignore")
    return kept.rpartition("\n")[0] + _NOTES_GO_ON


def _size(said: Said) -> int:
    beside = sum(len(call.name) + len(str(call.arguments).encode("utf-8", "replace")) + len(str(call.extra or ""))
                 for call in said.calls) + len(str(said.details or "").encode("utf-8", "replace"))
    return len(said.content.encode("utf-8", "replace")) + len(said.thought.encode("utf-8", "replace")) + beside + _AROUND


def _shortened(said: Said, limit: int) -> Said:
    """The message with the middle of its text left out; the marks at both ends stay."""
    data = said.content.encode("utf-8", "replace")
    if len(data) <= limit:
        return said
    half = limit // 2
    text = data[:half].decode("utf-8", "ignore") + _GAP + data[-half:].decode("utf-8", "ignore")
    return dataclasses.replace(said, content=text) if len(text.encode()) < len(data) else said


def fit(messages: List[Said], question: int, room: int) -> List[Said]:
    """The messages within the room, as far as that goes. messages[0] is the system prompt, messages[question] the
    question; what stands between them is old conversation, what follows are tool calls and their results."""
    kept = list(messages)
    excess = size_of(kept) - room
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
    for index in [*outputs[-1:], question]:
        if excess > 0:
            shorter = _shortened(kept[index], max(_STUB, len(kept[index].content.encode("utf-8", "replace")) - excess - 60))
            excess -= _size(kept[index]) - _size(shorter)
            kept[index] = shorter
    # What is left can begin with an answer, or hold two of one role in a row.
    return alternating(kept[:1] + kept[first:])

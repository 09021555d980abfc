"""Talking to a language model: the conversation as values, and a client that hides which server answers.

Two protocols are spoken, Ollama's and OpenAI's, in `ollama` and `openai_api`. This module holds what both share: trying
again when the server is busy, doing without tools when the model has none, taking out the model's thoughts.
"""

from __future__ import annotations

import json
import logging
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Set, Tuple

from .cancel import Cancel
from .config import Llm
from .transport import Exchange, LlmError, error_of

__all__ = ["Answer", "Client", "LlmError", "Said", "Stream", "ThoughtFilter", "ToolCall", "read_arguments"]

log = logging.getLogger("llm")

# An answer longer than this is of no use on IRC, and a model that repeats itself must be stopped somewhere.
LONGEST_ANSWER = 200_000
MOST_TOOL_CALLS = 32
_BUSY = (429, 503)
_BUSY_WAIT_S = 2.0
_BUSY_LONGEST_S = 15.0
_NO_TOOLS = ("does not support tools", "not support tool", "enable-auto-tool-choice", "requires --jinja",
             "tools param requires", "tools are not supported")


@dataclass(frozen=True)
class ToolCall:
    name: str
    arguments: Mapping[str, Any]
    id: str = ""
    # Why the arguments could not be read; the model is told, so that it can do better.
    broken: str = ""


@dataclass(frozen=True)
class Said:
    """One message of a conversation. `role` is system, user, assistant or tool."""

    role: str
    content: str
    calls: Tuple[ToolCall, ...] = ()
    tool_name: str = ""
    tool_call_id: str = ""


@dataclass(frozen=True)
class Answer:
    content: str
    calls: Tuple[ToolCall, ...] = ()
    # The model stopped because it may not say more, not because it was done.
    truncated: bool = False


def read_arguments(raw: object) -> Tuple[Dict[str, Any], str]:
    """A tool call's arguments as an object, and what is wrong with them ("" if nothing is)."""
    if raw is None or raw == "":
        return {}, ""
    if isinstance(raw, str):
        try:
            raw = json.loads(raw)
        except (ValueError, RecursionError) as error:
            return {}, f"the arguments are not valid JSON ({error}); send them again"
    if not isinstance(raw, dict):
        return {}, "the arguments must be a JSON object; send them again"
    return raw, ""


class ThoughtFilter:
    """Takes <think>…</think> out of text that arrives in pieces, wherever the pieces end. Templates that open the
    thought themselves leave only </think> in the text: then everything before it was a thought."""

    _TAGS = ("<think>", "</think>", "<thinking>", "</thinking>")

    def __init__(self) -> None:
        self._kept: List[str] = []
        self._pending = ""
        self._inside = False
        self.length = 0

    def feed(self, piece: str) -> None:
        text = self._pending + piece
        self._pending = ""
        position = 0
        while position < len(text):
            opening = text.find("<", position)
            if opening < 0:
                self._keep(text[position:])
                return
            self._keep(text[position:opening])
            tag = next((tag for tag in self._TAGS if text[opening : opening + len(tag)].lower() == tag), None)
            if tag is not None:
                self._found(tag)
                position = opening + len(tag)
            elif any(tag.startswith(text[opening:].lower()) for tag in self._TAGS):
                self._pending = text[opening:]
                return
            else:
                self._keep("<")
                position = opening + 1

    def _found(self, tag: str) -> None:
        if not tag.startswith("</"):
            self._inside = True
        elif self._inside:
            self._inside = False
        else:
            self._kept.clear()
            self.length = 0

    def _keep(self, text: str) -> None:
        if not self._inside and text:
            self._kept.append(text)
            self.length += len(text)

    def finish(self) -> str:
        """The text without its thoughts; a thought that never ended is one to the end."""
        self._keep(self._pending)
        self._pending = ""
        return "".join(self._kept).strip()


class Stream(ABC):
    """Reads one streamed answer line by line and puts it together."""

    def __init__(self) -> None:
        self.text = ThoughtFilter()
        self.calls: List[ToolCall] = []
        self.done = False
        self.truncated = False

    @abstractmethod
    def take_line(self, line: str) -> None:
        """One line of the body. LlmError for garbage and for an error in mid-stream."""

    @abstractmethod
    def end(self) -> None:
        """The body is over. LlmError if that was too early."""

    def add_call(self, name: object, raw_arguments: object, call_id: object) -> None:
        if not isinstance(name, str) or not name:
            raise LlmError("the LLM server sent a tool call without a name")
        if len(self.calls) >= MOST_TOOL_CALLS:
            raise LlmError(f"the LLM asked for more than {MOST_TOOL_CALLS} tools at once")
        arguments, broken = read_arguments(raw_arguments)
        identity = call_id if isinstance(call_id, str) and call_id else f"call_{len(self.calls)}"
        self.calls.append(ToolCall(name, arguments, identity, broken))

    def read(self, lines: Iterable[str]) -> Answer:
        for line in lines:
            self.take_line(line)
            if self.text.length > LONGEST_ANSWER:
                self.truncated = self.done = True
            if self.done:
                break
        self.end()
        return Answer(self.text.finish(), tuple(self.calls), self.truncated)


class Client(ABC):
    """Asks one model on one server. Used by one thread at a time."""

    def __init__(self, llm: Llm) -> None:
        self.llm = llm
        self._without_tools: Set[str] = set()

    def chat(self, said: Sequence[Said], tools: Sequence[Mapping[str, Any]], cancel: Cancel) -> Answer:
        """The model's next message. LlmError with one line for the user; Cancelled."""
        offered = [] if self.llm.model in self._without_tools else list(tools)
        waited = False
        while True:
            try:
                return self._attempt(said, offered, cancel)
            except LlmError as error:
                if offered and error.status >= 400 and any(hint in error.body.lower() for hint in _NO_TOOLS):
                    log.warning("%s has no tools; going on without them", self.llm.model)
                    self._without_tools.add(self.llm.model)
                    offered = []
                    continue
                if error.status not in _BUSY or waited:
                    raise
                waited = True
                delay = min(_BUSY_LONGEST_S, max(0.0, _BUSY_WAIT_S if error.retry_after is None else error.retry_after))
                log.info("the LLM server is busy; asking again in %g s", delay)
                cancel.wait(delay)

    def _attempt(self, said: Sequence[Said], tools: Sequence[Mapping[str, Any]], cancel: Cancel) -> Answer:
        with Exchange(self.llm, self.path(), self.payload(said, tools), cancel) as exchange:
            try:
                exchange.raise_for_status()
            except LlmError as error:
                raise self.explain(error, exchange.retry_after()) from None
            return self.stream().read(exchange.lines())

    def explain(self, error: LlmError, retry_after: Optional[float]) -> LlmError:
        """A better error for what this kind of server means by its status."""
        text = str(error)
        if error.status in _BUSY:
            text = f"the LLM server is busy (status {error.status}); try again later"
        elif error.status == 404 and "model" in error.body.lower():
            text = self.missing_model()
        better = LlmError(text, error.status, error.body)
        better.retry_after = retry_after
        return better

    @abstractmethod
    def missing_model(self) -> str:
        """What to tell the user when the server does not have the model."""

    @abstractmethod
    def path(self) -> str:
        """Where the request goes, after llm.url."""

    @abstractmethod
    def payload(self, said: Sequence[Said], tools: Sequence[Mapping[str, Any]]) -> Dict[str, Any]:
        """The request."""

    @abstractmethod
    def stream(self) -> Stream:
        """What reads one answer."""


NOT_ITS_PROTOCOL = "the LLM server sent something that is not its protocol; check llm.url and llm.api"


def decode_line(line: str) -> Dict[str, Any]:
    """One line of a stream as an object; LlmError for garbage and for an error in mid-stream."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise LlmError(NOT_ITS_PROTOCOL)
    error = error_of(value)
    if error:
        raise LlmError(f"the LLM server reported an error in mid-answer: {error}")
    return value

"""Asking a language model: one client for all servers, and what it has learned of the server it talks to.

The two protocols, Ollama's and OpenAI's, differ in what is sent: that is in `ollama` and `openai_api`. What comes back is
read in one place, `answers`, whichever was asked. This module tries again: without tools where there are none, without
fields that the server does not know, after a while where it is busy or loads the model.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import re
import time
from abc import ABC, abstractmethod
from typing import Any, Collection, Dict, List, Mapping, Sequence, Set

from ..base.cancel import Cancel
from ..base.config import Llm
from .answers import read_answer
from .budget import Meter
from .conversation import Answer, Said, ToolCall, alternating
from .refusals import Kind
from .transport import Exchange, LlmError
from .written_calls import Known

__all__ = ["Answer", "Client", "LlmError", "Said", "ToolCall", "known_tools"]

log = logging.getLogger("llm")

_BUSY_WAIT_S = 2.0
_BUSY_LONGEST_S = 15.0
_LOADING_WAIT_S = 1.0
_THINKING = ("think", "chat_template_kwargs", "reasoning_effort")
_UNKNOWN_FIELD = ("unrecognized", "unknown", "unexpected", "extra", "not permitted", "unsupported", "not support",
                  "invalid", "additional", "must be", "should be")


def known_tools(tools: Sequence[Mapping[str, Any]]) -> Known:
    """The names in the descriptions of tools, with the kinds of their parameters."""
    known: Dict[str, Dict[str, str]] = {}
    for tool in tools:
        function = tool["function"]
        properties = (function.get("parameters") or {}).get("properties") or {}
        known[function["name"]] = {name: str(about.get("type", "")) for name, about in properties.items()}
    return known


class Client(ABC):
    """Asks one model on one server. Used by one thread at a time."""

    def __init__(self, llm: Llm) -> None:
        self.llm = llm
        self.meter = Meter(llm)
        # What this server or model has refused once is not tried again.
        self._without_tools = False
        self._without_system = False
        self._without_thoughts = False
        self._left_out: Set[str] = set()
        self._renamed: Dict[str, str] = {}
        self._sent: Collection[str] = ()
        self._sent_thoughts: Set[str] = set()
        self._calls = 0

    def chat(self, said: Sequence[Said], tools: Sequence[Mapping[str, Any]], cancel: Cancel) -> Answer:
        """The model's next message. LlmError with one line for the user; Cancelled."""
        began = time.monotonic()
        waited = garbled = False
        while True:
            try:
                return self._attempt(said, tools, cancel)
            except LlmError as error:
                kind = error.refusal.kind
                if self._adapt(error, bool(tools)):
                    continue
                if kind is Kind.GARBLED and not garbled:
                    log.info("the LLM server could not read what its model wrote; asking again")
                    garbled = True
                    continue
                if kind is Kind.LOADING and time.monotonic() - began < self.llm.timeouts.first_token_s:
                    # Ollama keeps a request while it loads the model; others say so and want to be asked again.
                    log.info("the LLM server loads the model; asking again in %g s", _LOADING_WAIT_S)
                    cancel.wait(_LOADING_WAIT_S)
                    continue
                if kind is not Kind.BUSY or waited:
                    raise self._explained(error, time.monotonic() - began) from None
                waited = True
                asked = error.refusal.wait_s if error.retry_after is None else error.retry_after
                delay = min(_BUSY_LONGEST_S, max(0.0, _BUSY_WAIT_S if asked is None else asked))
                log.info("the LLM server is busy; asking again in %g s", delay)
                cancel.wait(delay)

    def _attempt(self, said: Sequence[Said], tools: Sequence[Mapping[str, Any]], cancel: Cancel) -> Answer:
        messages = self._fitting(said)
        offered = [] if self._without_tools else list(tools)
        payload = {self._renamed.get(name, name): value for name, value in self.payload(messages, offered).items()
                   if name not in self._left_out}
        self._sent = payload.keys()
        with Exchange(self.llm, self.path(), payload, cancel) as exchange:
            try:
                exchange.raise_for_status()
            except LlmError as error:
                error.retry_after = exchange.retry_after()
                raise
            return read_answer(exchange.chunks(), known_tools(tools), self._new_id, exchange.complete)

    def _new_id(self) -> str:
        """Nine letters and digits, which is what the strictest templates take."""
        self._calls += 1
        return f"call{self._calls % 100000:05d}"

    def _fitting(self, said: Sequence[Said]) -> List[Said]:
        """The messages as this model takes them."""
        messages = list(said)
        if self._without_tools:
            messages = [_without_calls(item) for item in messages]
        if self._without_system and len(messages) > 1 and messages[0].role == "system":
            messages[0] = dataclasses.replace(messages[0], role="user")
        if self._without_thoughts:
            messages = [dataclasses.replace(item, thought="", thought_field="", details=()) for item in messages]
        self._sent_thoughts = {item.thought_field for item in messages if item.thought_field and item.calls}
        if any(item.details and item.calls for item in messages):
            self._sent_thoughts.add("reasoning_details")
        return alternating(messages)

    def _adapt(self, error: LlmError, tools: bool) -> bool:
        """Whether to ask again at once, without what the server has refused."""
        kind, words = error.refusal.kind, error.refusal.words.lower()
        # A template that knows two roles only takes no tools' output either.
        if (kind is Kind.NO_TOOLS or (kind is Kind.NO_SYSTEM and self._without_system)) and tools and not self._without_tools:
            log.warning("%s has no tools; continuing without them", self.llm.model)
            self._without_tools = True
            return True
        if kind is Kind.NO_SYSTEM and not self._without_system:
            log.warning("%s takes no system message; its text becomes part of the first question", self.llm.model)
            self._without_system = True
            return True
        if kind is Kind.OTHER and "max_completion_tokens" in words and "max_tokens" in self._sent:
            self._renamed["max_tokens"] = "max_completion_tokens"
            return True
        if kind is Kind.OTHER and error.status in (400, 422) and any(hint in words for hint in _UNKNOWN_FIELD):
            if any(re.search(rf"\b{re.escape(name)}\b", words) for name in self._sent_thoughts):
                log.warning("the LLM server does not take thoughts back; continuing without")
                self._without_thoughts = True
                return True
            extra = [name for name in self.optional_fields() if name in self._sent]
            named = [name for name in extra if re.search(rf"\b{name}\b", words)] or \
                [name for name in extra if "think" in words and name in _THINKING]
            if "stream" in named:
                named.append("stream_options")
            if named:
                log.warning("the LLM server does not know %s; continuing without", " and ".join(named))
                self._left_out.update(named)
                return True
        return False

    def _explained(self, error: LlmError, waited: float) -> LlmError:
        """The error with what to do about it, and in the server's own words."""
        refusal = error.refusal
        text = {
            Kind.BUSY: f"the LLM server is busy (status {error.status}); try again later",
            Kind.LOADING: f"the LLM server is still loading the model after {waited:.0f} s; try again later",
            Kind.MODEL: self.missing_model(),
            Kind.GARBLED: "the LLM server could not read what its model wrote; ask again, or in other words",
        }.get(refusal.kind)
        if text is None:
            return error
        better = LlmError(text + (f" (it says: {refusal.words})" if refusal.words else ""), error.status, refusal)
        better.retry_after = error.retry_after
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
    def optional_fields(self) -> Sequence[str]:
        """Fields of the request that can be left out for a server that does not know them."""


def _without_calls(said: Said) -> Said:
    """A message about tools as plain text, for a model whose template has no place for them."""
    if said.role == "tool":
        return Said("user", f"Output of {said.tool_name}:\n{said.content}")
    if said.calls:
        written = [json.dumps({"name": call.name, "arguments": dict(call.arguments)}, ensure_ascii=False) for call in said.calls]
        return Said("assistant", "\n".join(filter(None, [said.content, *written])))
    return said

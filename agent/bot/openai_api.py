"""OpenAI's /v1/chat/completions as many servers speak it: server-sent events, arguments of tools as JSON text that
arrives in pieces."""

from __future__ import annotations

import json
import urllib.parse
from typing import Any, Dict, List, Mapping, Optional, Sequence

from .llm import NOT_ITS_PROTOCOL, Client, LlmError, Said, Stream, decode_line
from .transport import CUT_OFF


class _PartialCall:
    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.arguments: Any = ""


class OpenAiClient(Client):
    def path(self) -> str:
        versioned = urllib.parse.urlsplit(self.llm.url).path.rstrip("/").endswith("/v1")
        return "/chat/completions" if versioned else "/v1/chat/completions"

    def missing_model(self) -> str:
        return f"the LLM server does not have the model {self.llm.model}; load it there or set llm.model to one it has"

    def payload(self, said: Sequence[Said], tools: Sequence[Mapping[str, Any]]) -> Dict[str, Any]:
        llm = self.llm
        payload: Dict[str, Any] = {"model": llm.model, "messages": [_message(item) for item in said], "stream": True}
        if llm.temperature is not None:
            payload["temperature"] = llm.temperature
        if llm.max_tokens is not None:
            payload["max_tokens"] = llm.max_tokens
        if tools:
            payload["tools"] = list(tools)
        return payload

    def stream(self) -> Stream:
        return _ServerSentEvents()


class _ServerSentEvents(Stream):
    def __init__(self) -> None:
        super().__init__()
        self._partial: List[_PartialCall] = []
        self._by_index: Dict[int, _PartialCall] = {}
        self._finished = False

    def take_line(self, line: str) -> None:
        if line.startswith("data:"):
            data = line[5:].strip()
            if data == "[DONE]":
                self.done = True
            elif data:
                self._take(decode_line(data))
        elif line.startswith("{"):
            # A server that does not stream sends the whole answer as one object, or an error as one.
            self._take(decode_line(line))
        elif line.strip() and not line.startswith((":", "event:", "id:", "retry:")):
            raise LlmError(NOT_ITS_PROTOCOL)

    def _take(self, value: Dict[str, Any]) -> None:
        choices = value.get("choices") or []
        if not isinstance(choices, list) or not all(isinstance(choice, dict) for choice in choices):
            raise LlmError(NOT_ITS_PROTOCOL)
        for choice in choices[:1]:
            delta = choice.get("delta") or choice.get("message") or {}
            content = delta.get("content") if isinstance(delta, dict) else 0
            if content is not None and not isinstance(content, str):
                raise LlmError(NOT_ITS_PROTOCOL)
            # What is under "reasoning_content" is left where it is.
            self.text.feed(content or "")
            for position, piece in enumerate(delta.get("tool_calls") or []):
                self._take_call(piece, position)
            reason = choice.get("finish_reason")
            if reason:
                self._finished = True
                self.truncated = reason == "length"

    def _take_call(self, piece: Any, position: int) -> None:
        function = piece.get("function") if isinstance(piece, dict) else None
        if not isinstance(function, dict):
            raise LlmError("the LLM server sent a tool call without a function")
        call = self._call_for(piece.get("index", position), piece.get("id"))
        if isinstance(piece.get("id"), str) and not call.id:
            call.id = piece["id"]
        if isinstance(function.get("name"), str) and not call.name:
            call.name = function["name"]
        arguments = function.get("arguments")
        if isinstance(arguments, str) and isinstance(call.arguments, str):
            call.arguments += arguments
        elif arguments is not None:
            call.arguments = arguments

    def _call_for(self, index: object, call_id: object) -> _PartialCall:
        """The call a piece belongs to: by index; but a new id under an old index begins another call, since some
        servers number every call 0."""
        number = index if isinstance(index, int) else 0
        call: Optional[_PartialCall] = self._by_index.get(number)
        if call is None or (isinstance(call_id, str) and call_id and call.id and call_id != call.id):
            call = self._by_index[number] = _PartialCall()
            self._partial.append(call)
        return call

    def end(self) -> None:
        if not self.done and not self._finished:
            raise LlmError(CUT_OFF)
        for call in self._partial:
            self.add_call(call.name, call.arguments, call.id)


def _message(said: Said) -> Dict[str, Any]:
    message: Dict[str, Any] = {"role": said.role, "content": said.content}
    if said.calls:
        # Arguments that were broken go back as {}: servers parse them again when they build the prompt.
        message["tool_calls"] = [
            {"id": call.id, "type": "function",
             "function": {"name": call.name, "arguments": json.dumps(dict(call.arguments), ensure_ascii=False)}}
            for call in said.calls
        ]
    if said.role == "tool":
        message["tool_call_id"] = said.tool_call_id
    return message

"""Ollama's /api/chat: one JSON object a line, arguments of tools as objects."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Sequence

from .llm import NOT_ITS_PROTOCOL, Client, LlmError, Said, Stream, decode_line
from .transport import CUT_OFF


class OllamaClient(Client):
    def path(self) -> str:
        return "/api/chat"

    def missing_model(self) -> str:
        return f"the LLM server does not have the model {self.llm.model}; get it there with: ollama pull {self.llm.model}"

    def payload(self, said: Sequence[Said], tools: Sequence[Mapping[str, Any]]) -> Dict[str, Any]:
        llm = self.llm
        payload: Dict[str, Any] = {"model": llm.model, "messages": [_message(item) for item in said], "stream": True}
        options = {"temperature": llm.temperature, "num_ctx": llm.num_ctx, "num_predict": llm.max_tokens}
        payload["options"] = {name: value for name, value in options.items() if value is not None}
        if llm.keep_alive is not None:
            payload["keep_alive"] = llm.keep_alive
        if llm.think is not None:
            payload["think"] = llm.think
        if tools:
            payload["tools"] = list(tools)
        return payload

    def stream(self) -> Stream:
        return _Lines()


class _Lines(Stream):
    def take_line(self, line: str) -> None:
        if not line.strip():
            return
        value = decode_line(line)
        message = value.get("message") or {}
        content = message.get("content") if isinstance(message, dict) else 0
        if content is not None and not isinstance(content, str):
            raise LlmError(NOT_ITS_PROTOCOL)
        # What is under "thinking" is left where it is.
        self.text.feed(content or "")
        for call in message.get("tool_calls") or []:
            function = call.get("function") if isinstance(call, dict) else None
            if not isinstance(function, dict):
                raise LlmError("the LLM server sent a tool call without a function")
            self.add_call(function.get("name"), function.get("arguments"), call.get("id"))
        if value.get("done") is True:
            self.done = True
            self.truncated = value.get("done_reason") == "length"

    def end(self) -> None:
        if not self.done:
            raise LlmError(CUT_OFF)


def _message(said: Said) -> Dict[str, Any]:
    message: Dict[str, Any] = {"role": said.role, "content": said.content}
    if said.calls:
        message["tool_calls"] = [
            {"id": call.id, "function": {"name": call.name, "arguments": dict(call.arguments)}} for call in said.calls
        ]
    if said.role == "tool":
        message["tool_name"] = said.tool_name
        message["tool_call_id"] = said.tool_call_id
    return message

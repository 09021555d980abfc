"""What Ollama's /api/chat is sent: arguments of tools as objects, options beside the messages."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Sequence

from .client import Client
from .conversation import Said


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

    def optional_fields(self) -> Sequence[str]:
        return ("think", "keep_alive")


def _message(said: Said) -> Dict[str, Any]:
    message: Dict[str, Any] = {"role": said.role, "content": said.content}
    if said.calls:
        message["tool_calls"] = [
            {"id": call.id, "function": {"name": call.name, "arguments": dict(call.arguments)}} for call in said.calls
        ]
        if said.thought_field:
            message[said.thought_field] = said.thought
    if said.role == "tool":
        message["tool_name"] = said.tool_name
        message["tool_call_id"] = said.tool_call_id
    return message

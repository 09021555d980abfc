"""What OpenAI's /v1/chat/completions is sent, as many servers take it: arguments of tools as JSON text."""

from __future__ import annotations

import json
import re
import urllib.parse
from typing import Any, Dict, Mapping, Sequence

from .client import Client
from .conversation import Said

# A URL can name a version, and more: /v1, /v1beta/openai, /api/paas/v4.
_VERSION = re.compile(r"/v\d\w*(?:/|\Z)")


class OpenAiClient(Client):
    def path(self) -> str:
        versioned = _VERSION.search(urllib.parse.urlsplit(self.llm.url).path)
        return "/chat/completions" if versioned else "/v1/chat/completions"

    def missing_model(self) -> str:
        return f"the LLM server does not have the model {self.llm.model}; load it there or set llm.model to one it has"

    def payload(self, said: Sequence[Said], tools: Sequence[Mapping[str, Any]]) -> Dict[str, Any]:
        llm = self.llm
        # Without the last field no usage is sent, and tokens stay an estimate.
        payload: Dict[str, Any] = {"model": llm.model, "messages": [_message(item) for item in said], "stream": True,
                                   "stream_options": {"include_usage": True}}
        if llm.temperature is not None:
            payload["temperature"] = llm.temperature
        if llm.max_tokens is not None:
            payload["max_tokens"] = llm.max_tokens
        if llm.think is not None:
            # Servers of open models hand the first on to the model's template; others, Ollama's too, know the second.
            payload["chat_template_kwargs"] = {"enable_thinking": llm.think, "thinking": llm.think}
            if not llm.think:
                payload["reasoning_effort"] = "none"
        if tools:
            payload["tools"] = list(tools)
        return payload

    def optional_fields(self) -> Sequence[str]:
        # Some models are streamed to known customers only.
        return ("chat_template_kwargs", "reasoning_effort", "stream_options", "stream", "temperature")


def _message(said: Said) -> Dict[str, Any]:
    message: Dict[str, Any] = {"role": said.role, "content": said.content}
    if said.calls:
        # Arguments that were broken go back as {}: servers parse them again when they build the prompt.
        message["tool_calls"] = [
            {"id": call.id, "type": "function",
             "function": {"name": call.name, "arguments": json.dumps(dict(call.arguments), ensure_ascii=False)},
             **({"extra_content": call.extra} if call.extra else {})}
            for call in said.calls
        ]
        if said.thought_field:
            message[said.thought_field] = said.thought
        if said.details:
            message["reasoning_details"] = list(said.details)
    if said.role == "tool":
        message["tool_call_id"] = said.tool_call_id
    return message

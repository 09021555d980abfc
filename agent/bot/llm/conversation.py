"""A conversation with a language model as values: what is said, what is called, what comes back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, List, Mapping, Sequence, Tuple


@dataclass(frozen=True)
class ToolCall:
    name: str
    arguments: Mapping[str, Any]
    id: str = ""
    # Why the arguments could not be read; the model is told, so that it can do better.
    broken: str = ""
    # What the server sent beside the call and wants back with it, as Gemini does.
    extra: Any = None


@dataclass(frozen=True)
class Said:
    """One message of a conversation. `role` is system, user, assistant or tool."""

    role: str
    content: str
    calls: Tuple[ToolCall, ...] = ()
    tool_name: str = ""
    tool_call_id: str = ""
    # What the model thought before its calls, and the field in which the server sent that and wants it back.
    thought: str = ""
    thought_field: str = ""
    # The thought in parts, some of them sealed, as OpenRouter sends it and wants it back.
    details: Tuple[Any, ...] = ()


@dataclass(frozen=True)
class Answer:
    """What the model said next. `content` holds no thought and no call."""

    content: str
    calls: Tuple[ToolCall, ...] = ()
    # The model stopped because it cannot say more, not because it was done.
    truncated: bool = False
    thought: str = ""
    # The field that the server sent the thought in; empty if it stood in the content.
    thought_field: str = ""
    details: Tuple[Any, ...] = ()
    # How many tokens the server read; 0 if it did not say.
    prompt_tokens: int = 0


def alternating(messages: Sequence[Said]) -> List[Said]:
    """The messages with neighbours of one role joined: many chat templates refuse two users or two answers in a row,
    and an answer before the first user."""
    joined: List[Said] = []
    for said in messages:
        last = joined[-1] if joined else None
        if last is not None and last.role == said.role and said.role in ("user", "assistant", "system") \
                and not last.calls and not said.calls:
            joined[-1] = Said(said.role, f"{last.content}\n{said.content}")
        elif said.role == "assistant" and all(before.role == "system" for before in joined):
            continue
        else:
            joined.append(said)
    return joined

"""One question on its way to an answer: asking the model, running the tools it wants, asking again.

Runs on a thread of its own and shares nothing with the event loop but what it is given.
"""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass
from typing import Any, List, Mapping, Sequence

from ..base.cancel import Cancel, Cancelled
from ..base.config import Config
from ..base.text import cut, one_line
from ..llm.answers import CALL_CUT
from ..llm.budget import fit, shorten_notes, size_of
from ..llm.client import Client, LlmError
from ..llm.conversation import Answer, Said
from ..llm.refusals import Kind
from ..tools.audit import Audit
from ..tools.memory import Memory
from ..tools.toolbox import ToolBox
from .prompt import as_tool_output, clean_answer, system_prompt

log = logging.getLogger("turn")


@dataclass(frozen=True)
class Turn:
    """Everything that is needed to answer one question."""

    config: Config
    nick: str
    asker: str
    # The channel, or empty for a private talk.
    place: str
    said: Sequence[Said]
    tools: bool
    quote: str
    id: str


@dataclass(frozen=True)
class Result:
    """An answer, or in one line why there is none."""

    text: str = ""
    error: str = ""
    cancelled: bool = False
    tool_calls: int = 0
    # Something that the asker and the operator should know beside the answer.
    note: str = ""


class _Talk:
    """What the model and the tools have said for one question so far, and how it is put to the model."""

    def __init__(self, turn: Turn, client: Client, memory: Memory, schemas: Sequence[Mapping[str, Any]]) -> None:
        self._turn = turn
        self._client = client
        self._notes = memory.index()
        self._schemas = schemas
        self._date = time.strftime("%A, %Y-%m-%d", time.gmtime())
        self.after: List[Said] = []
        self.note = ""

    def _messages(self) -> List[Said]:
        turn = self._turn
        room = self._client.meter.room(self._beside())
        system = system_prompt(turn.config, turn.nick, turn.place, shorten_notes(self._notes, room), turn.tools, turn.quote,
                               self._date)
        return fit([Said("system", system), *turn.said, *self.after], len(turn.said), room)

    def _beside(self) -> int:
        return len(json.dumps(self._schemas).encode()) if self._schemas else 0

    def ask(self, cancel: Cancel) -> Answer:
        """The model's next message. Where the server reads less than was thought, older things are left out and it is
        asked once more."""
        messages = self._messages()
        meter = self._client.meter
        try:
            answer = self._client.chat(messages, self._schemas, cancel)
        except LlmError as error:
            if error.refusal.kind is not Kind.CONTEXT:
                raise
            before = meter.context_tokens
            meter.refused(size_of(messages) + self._beside(), error.refusal.context_tokens, error.refusal.prompt_tokens)
            if meter.context_tokens < before:
                self.note = (f"the LLM server reads only {meter.context_tokens} tokens, less than the {before} of llm.num_ctx; "
                             "what does not fit is left out")
            log.warning("%s", self.note or f"the prompt was too long for the LLM server: {error.refusal.words}")
            shorter = self._messages()
            if size_of(shorter) >= size_of(messages):
                raise _too_small(error, meter.context_tokens) from None
            try:
                messages, answer = shorter, self._client.chat(shorter, self._schemas, cancel)
            except LlmError as again:
                raise _too_small(again, meter.context_tokens) if again.refusal.kind is Kind.CONTEXT else again from None
        meter.learn(size_of(messages) + self._beside(), answer.prompt_tokens)
        return answer


def _too_small(error: LlmError, tokens: int) -> LlmError:
    why = f"it says: {error.refusal.words}" if error.refusal.words else f"status {error.status}"
    return LlmError(f"the LLM server's context of {tokens} tokens is too small for this; give it a larger one, or a shorter "
                    f"question or persona ({why})", error.status, error.refusal)


def run_turn(turn: Turn, client: Client, memory: Memory, audit: Audit, cancel: Cancel) -> Result:
    calls, note = 0, ""
    try:
        box = ToolBox(turn.config, memory, audit) if turn.tools else None
        about = {"turn": turn.id, "place": turn.place or "private", "asker": turn.asker}
        steps = turn.config.tools.steps
        talk = _Talk(turn, client, memory, box.schemas() if box is not None else [])
        cut_off = False
        while True:
            answer = talk.ask(cancel)
            note = talk.note
            if not answer.calls:
                return _finished(answer, turn, calls, note, client.meter.context_tokens)
            if box is None or calls >= steps:
                # The tools stay in the request, since servers keep what they have read of it and read calls only where
                # tools were offered. What is called now is too much.
                said = f"; it said: {one_line(answer.content)}" if answer.content else ""
                return Result(error=f"gave up after {calls} tool calls without an answer{said}", tool_calls=calls, note=note)
            if any(call.broken == CALL_CUT for call in answer.calls):
                if cut_off:
                    return Result(error="the model's tool call is longer than an answer of it can be; raise llm.max_tokens",
                                  tool_calls=calls, note=note)
                cut_off = True
            # A thought goes back to where it came from, and only with its calls.
            thought = answer.thought if answer.thought_field else ""
            talk.after.append(Said("assistant", answer.content, answer.calls, thought=thought,
                                   thought_field=answer.thought_field, details=answer.details))
            for call in answer.calls:
                cancel.check()
                if calls >= steps:
                    output = "error: no more tool calls for this question; answer with what you know"
                else:
                    calls += 1
                    log.info("%s: %s %s", turn.id, call.name, one_line(str(dict(call.arguments)), 150))
                    output = box.call(call, cancel, **about)
                    if calls == steps:
                        output += "\n(that was the last tool call for this question; answer now)"
                talk.after.append(Said("tool", as_tool_output(output, turn.quote), tool_name=call.name, tool_call_id=call.id))
    except Cancelled:
        return Result(cancelled=True, tool_calls=calls)
    except LlmError as error:
        return Result(error=str(error), tool_calls=calls, note=note)
    except Exception as error:  # noqa: BLE001 - whatever it is, the asker gets a line and the agent lives
        log.exception("turn %s failed", turn.id)
        return Result(error=f"internal error: {one_line(repr(error), 120)}", tool_calls=calls)


def _finished(answer: Answer, turn: Turn, calls: int, note: str, context: int) -> Result:
    text = clean_answer(answer.content, turn.nick, turn.quote)
    if not text:
        error = "the model gave an empty answer"
        if answer.truncated and answer.thought:
            error = "the model used up its answer in a thought; raise llm.max_tokens, or set llm.think to false"
        elif answer.prompt_tokens >= context:
            error = (f"the model gave an empty answer: its prompt has {answer.prompt_tokens} tokens, and the context {context}; "
                     "give the server a larger context, or set llm.num_ctx to what it has")
        elif answer.truncated:
            error = "the model had no room left for an answer; raise llm.max_tokens or the server's context"
        return Result(error=error, tool_calls=calls, note=note)
    limit = turn.config.limits.answer_chars
    if len(text) > limit or answer.truncated:
        text = cut(text, limit).rstrip() + " […]"
    return Result(text=text, tool_calls=calls, note=note)

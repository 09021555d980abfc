"""One question on its way to an answer: asking the model, running the tools it wants, asking again.

Runs on a thread of its own and shares nothing with the event loop but what it is given.
"""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass
from typing import List, Sequence

from .audit import Audit
from .budget import fit, room_for, shorten_notes
from .cancel import Cancel, Cancelled
from .config import Config
from .llm import Answer, Client, LlmError, Said
from .memory import Memory
from .prompt import as_tool_output, clean_answer, system_prompt
from .text import one_line
from .tools import ToolBox

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


def run_turn(turn: Turn, client: Client, memory: Memory, audit: Audit, cancel: Cancel) -> Result:
    calls = 0
    try:
        box = ToolBox(turn.config, memory, audit) if turn.tools else None
        about = {"turn": turn.id, "place": turn.place or "private", "asker": turn.asker}
        schemas = box.schemas() if box is not None else []
        room = room_for(turn.config.llm, len(json.dumps(schemas)))
        date = time.strftime("%A, %Y-%m-%d", time.gmtime())
        system = system_prompt(turn.config, turn.nick, turn.place, shorten_notes(memory.index(), room), box is not None,
                               turn.quote, date)
        messages: List[Said] = [Said("system", system), *turn.said]
        question = len(messages) - 1
        while True:
            steps_left = turn.config.tools.steps - calls if box is not None else 0
            answer = client.chat(fit(messages, question, room), schemas if steps_left > 0 else [], cancel)
            if not answer.calls:
                return _finished(answer, turn, calls)
            if box is None or steps_left <= 0:
                # The model goes on asking for tools it was not offered; what it said beside that is all there is.
                return _finished(answer, turn, calls) if answer.content else Result(
                    error=f"gave up after {calls} tool calls without an answer", tool_calls=calls)
            messages.append(Said("assistant", answer.content, answer.calls))
            for call in answer.calls:
                cancel.check()
                if calls >= turn.config.tools.steps:
                    output = "error: no more tool calls for this question; answer with what you know"
                else:
                    calls += 1
                    log.info("%s: %s %s", turn.id, call.name, one_line(str(dict(call.arguments)), 150))
                    output = box.call(call, cancel, **about)
                messages.append(Said("tool", as_tool_output(output, turn.quote), tool_name=call.name,
                                     tool_call_id=call.id))
    except Cancelled:
        return Result(cancelled=True, tool_calls=calls)
    except LlmError as error:
        return Result(error=str(error), tool_calls=calls)
    except Exception as error:  # noqa: BLE001 - whatever it is, the asker gets a line and the agent lives
        log.exception("turn %s failed", turn.id)
        return Result(error=f"internal error: {one_line(repr(error), 120)}", tool_calls=calls)


def _finished(answer: Answer, turn: Turn, calls: int) -> Result:
    text = clean_answer(answer.content, turn.nick, turn.quote)
    if not text:
        return Result(error="the model gave an empty answer", tool_calls=calls)
    limit = turn.config.limits.answer_chars
    if len(text) > limit or answer.truncated:
        text = text[:limit].rstrip() + " […]"
    return Result(text=text, tool_calls=calls)

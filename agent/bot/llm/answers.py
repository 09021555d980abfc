"""One answer of a model, put together from what its server sent: one reader for all servers.

A value is a delta, a message or a whole answer, as Ollama or OpenAI or one of their many imitators write it; what is
null or left out means the same everywhere. Nothing here knows which server it is.
"""

from __future__ import annotations

import json
import re
from typing import Any, Callable, Dict, Iterable, List, Optional, Tuple

from .arguments import read_arguments
from .conversation import Answer, ToolCall
from .refusals import error_in, read_refusal, words_of
from .thoughts import split_thoughts
from .transport import CUT_OFF, LlmError
from .values import NOT_ITS_PROTOCOL, Done, Value, Words, values_of
from .written_calls import Known, written_calls

# An answer longer than this is of no use on IRC, and a model that repeats itself must be stopped somewhere. Thoughts and
# the arguments of tools count.
LONGEST_ANSWER = 400_000
MOST_TOOL_CALLS = 32
_THOUGHTS = ("reasoning_content", "reasoning", "thinking", "thought")
_OUT_OF_TOKENS = ("length", "max_tokens", "max_output_tokens", "model_length")
# The answer was not allowed to be said, or the server gave up on it.
_HELD_BACK = re.compile(r"content_?filter|safety|recitation|blocklist|prohibited|spii|sensitive", re.I)
_GIVEN_UP = re.compile(r"error|abort|malformed|insufficient_system_resource", re.I)
CALL_CUT = "the call was cut off, since an answer can only have so many tokens; do it in several shorter calls"


class _Call:
    """A call whose pieces are still coming."""

    def __init__(self) -> None:
        self.index: Optional[int] = None
        self.id = ""
        self.name = ""
        self.arguments: Any = ""
        self.extra: Any = None

    def complete(self) -> bool:
        if isinstance(self.arguments, str):
            return bool(self.arguments.strip()) and not read_arguments(self.arguments)[1]
        return True


class Reader:
    """Takes values in their order. `known` are the tools that were offered, with the kinds of their parameters."""

    def __init__(self, known: Optional[Known] = None) -> None:
        self._known: Known = known or {}
        self._text: List[str] = []
        self._thought: List[str] = []
        self._thought_field = ""
        self._details: List[Dict[str, Any]] = []
        # A value that holds nothing of an answer; if no answer comes, it may say why.
        self._odd: Optional[Dict[str, Any]] = None
        self._calls: List[_Call] = []
        self._size = 0
        self._truncated = False
        self._held_back = ""
        self._prompt_tokens = 0
        # The server said that this was all; only usage can follow.
        self.finished = False
        # The server said that nothing follows.
        self.done = False
        self._whole = False

    def take(self, value: Value) -> None:
        """LlmError for an error of the server's and for what no server should send."""
        if isinstance(value, Done):
            self.done = True
            return
        if isinstance(value, Words):
            self._odd = {"error": value.text}
            return
        if error_in(value):
            if self.finished and (self._text or self._calls):
                # It comes too late to take the answer back.
                self.done = True
                return
            raise _refused(value, self._begun())
        self._take_usage(value)
        message = self._message_of(value)
        if message is not None:
            self._take_message(message)
        elif not value.get("choices"):
            self._odd = value
        if value.get("done") is True:
            self.done = True
            self._take_reason(value.get("done_reason"))
        if self._size > LONGEST_ANSWER:
            if self._calls:
                raise LlmError(f"the LLM's tool calls were longer than {LONGEST_ANSWER} characters; gave up")
            self._truncated = self.done = True

    def _begun(self) -> bool:
        return bool(self._text or self._calls or self._thought)

    def _message_of(self, value: Dict[str, Any]) -> Optional[Dict[str, Any]]:
        """The part of a value that holds what was said."""
        choices = value.get("choices")
        if choices:
            choice = choices[0] if isinstance(choices, list) else choices
            if choice is None:
                return None
            if not isinstance(choice, dict):
                raise LlmError(NOT_ITS_PROTOCOL)
            if choice.get("error"):
                raise _refused(choice, self._begun())
            self._take_reason(choice.get("finish_reason"))
            found = choice.get("delta")
            if not found and choice.get("message") and not (found is not None and self._begun()):
                # Beside a delta it repeats all that was said so far.
                found = choice["message"]
                self._whole = True
            if found is None and isinstance(choice.get("text"), str):
                found = {"content": choice["text"]}
        else:
            found = value.get("message")
            if found is None and isinstance(value.get("response"), str):
                found = {"content": value["response"]}
        if found is not None and not isinstance(found, (dict, str)):
            raise LlmError(NOT_ITS_PROTOCOL)
        return {"content": found} if isinstance(found, str) else found

    def _take_reason(self, reason: object) -> None:
        if not isinstance(reason, str) or reason.lower() in ("", "null", "none"):
            return
        self.finished = True
        self._truncated = self._truncated or reason.lower() in _OUT_OF_TOKENS
        if _HELD_BACK.search(reason):
            self._held_back = reason
        elif _GIVEN_UP.search(reason):
            raise _refused({"error": "" if reason.lower() == "error" else reason}, self._begun())

    def _take_usage(self, value: Dict[str, Any]) -> None:
        usage, timings = value.get("usage"), value.get("timings")
        counts: List[Any] = [value.get("prompt_eval_count")]
        if isinstance(usage, dict):
            counts = [usage.get("prompt_tokens") or usage.get("input_tokens")]
        elif isinstance(timings, dict) and isinstance(timings.get("cache_n"), int) and isinstance(timings.get("prompt_n"), int):
            counts = [timings["cache_n"] + timings["prompt_n"]]
        if isinstance(counts[0], int) and not isinstance(counts[0], bool) and 0 < counts[0] < 1 << 31:
            self._prompt_tokens = counts[0]

    def _take_message(self, message: Dict[str, Any]) -> None:
        self._take_content(message.get("content"))
        if not message.get("content") and isinstance(message.get("refusal"), str):
            self._add(self._text, message["refusal"])
        for name in _THOUGHTS:
            thought = message.get(name)
            if thought:
                # Some servers send the same thought under two names.
                if not self._thought_field:
                    self._thought_field = name
                if name == self._thought_field:
                    self._add(self._thought, thought if isinstance(thought, str) else _text_of(thought))
        details = message.get("reasoning_details")
        for detail in details if isinstance(details, list) else ():
            self._take_detail(detail)
        calls = message.get("tool_calls")
        if calls is None and isinstance(message.get("function_call"), dict):
            calls = [{"function": message["function_call"], "index": 0}]
        if isinstance(calls, dict):
            calls = [calls]
        if calls and not isinstance(calls, list):
            raise LlmError(NOT_ITS_PROTOCOL)
        for number, piece in enumerate(calls or []):
            if piece is not None:
                self._take_call(piece, number > 0 or self._whole)

    def _take_detail(self, detail: Any) -> None:
        """A part of a thought, or a piece that continues the last one."""
        if not isinstance(detail, dict):
            return
        self._size += len(str(detail))
        last = self._details[-1] if self._details else {}
        if last and (last.get("type"), last.get("index")) == (detail.get("type"), detail.get("index")):
            joined = {name: last[name] + detail[name] for name in ("text", "summary")
                      if isinstance(last.get(name), str) and isinstance(detail.get(name), str)}
            last.update({name: value for name, value in detail.items() if value is not None}, **joined)
        else:
            self._details.append(dict(detail))

    def _take_content(self, content: object) -> None:
        """Text, or a list of parts. Some of them can be thoughts."""
        if content is None:
            return
        if isinstance(content, str):
            self._add(self._text, content)
            return
        for part in content if isinstance(content, list) else [content]:
            if isinstance(part, dict) and (part.get("type") in ("thinking", "reasoning") or part.get("thought") is True):
                self._add(self._thought, _text_of(part.get("thinking") or part.get("reasoning") or part.get("text") or ""))
            elif isinstance(part, (str, dict)):
                self._add(self._text, _text_of(part))
            else:
                raise LlmError(NOT_ITS_PROTOCOL)

    def _add(self, where: List[str], text: str) -> None:
        if text:
            where.append(text)
            self._size += len(text)

    def _take_call(self, piece: Any, another: bool) -> None:
        """`another`: the piece stands beside others in one list, so that it does not continue the one before."""
        function = piece.get("function") if isinstance(piece, dict) else None
        if isinstance(piece, dict) and function is None:
            function = piece
        if not isinstance(function, dict):
            raise LlmError("the LLM server sent a tool call without a function")
        given, named = piece.get("id"), function.get("name")
        identity: str = given if isinstance(given, str) else ""
        name: str = named if isinstance(named, str) else ""
        index = piece.get("index") if piece.get("index") is not None else function.get("index")
        arguments = function.get("arguments", function.get("parameters"))
        number = index if isinstance(index, int) and not isinstance(index, bool) else None
        call = self._call_for(number, identity, name, another, bool(arguments) or isinstance(arguments, dict))
        call.id = call.id or identity
        if piece.get("extra_content"):
            self._size += len(str(piece["extra_content"]))
            call.extra = piece["extra_content"]
        if name and not call.name.endswith(name):
            # A few servers send even the name in pieces.
            call.name += name
        if isinstance(arguments, str):
            self._size += len(arguments)
            if call.arguments == {} and arguments.strip():
                # That was no more than a beginning.
                call.arguments = arguments
            elif isinstance(call.arguments, str):
                call.arguments += arguments
        elif arguments or (isinstance(arguments, dict) and not call.arguments):
            self._size += len(str(arguments))
            call.arguments = arguments

    def _call_for(self, index: Optional[int], identity: str, name: str, another: bool, filled: bool) -> _Call:
        """The call that a piece belongs to: that of its index or id. A new id begins another call under an old index,
        and so does a name once the arguments before it are complete: some servers number every call 0, or none."""
        call: Optional[_Call] = None
        if index is not None:
            call = next((item for item in reversed(self._calls) if item.index == index), None)
        elif identity:
            call = next((item for item in reversed(self._calls) if item.id == identity), None)
        elif self._calls and not (another and name):
            call = self._calls[-1]
        if call is not None and identity and call.id and call.id != identity:
            call = None
        elif call is not None and name and call.name:
            # A name that is sent with every piece, or in pieces, begins nothing.
            other = name != call.name and (not self._known or call.name in self._known)
            unnumbered = index is None and not identity
            if (call.complete() and (filled or other or unnumbered)) or (not call.arguments and other):
                call = None
        if call is None:
            if len(self._calls) >= MOST_TOOL_CALLS:
                raise LlmError(f"the LLM asked for more than {MOST_TOOL_CALLS} tools at once")
            call = _Call()
            call.index = index
            self._calls.append(call)
        return call

    def answer(self, new_id: Callable[[], str]) -> Answer:
        """What was said, once all has been taken. LlmError if the end is missing."""
        if not (self._begun() or self._whole) and self._odd is not None and words_of(self._odd):
            raise _refused(self._odd, False)
        if not (self.done or self.finished or self._whole):
            raise LlmError(CUT_OFF)
        text, thought = split_thoughts(_whole_characters("".join(self._text)))
        if self._thought_field or not thought:
            field, thought = self._thought_field, "".join(self._thought).strip() or thought
        else:
            field = ""
        raw = [(call.name, call.arguments, call.extra) for call in self._calls]
        written = written_calls(text, self._known) if text else None
        if written is not None:
            # Marks beside real calls are the same calls once more.
            text = ""
            raw = raw or [(call.name, call.arguments, None) for call in written]
        raw = [each for call in raw for each in self._parallel(*call)]
        if len(raw) > MOST_TOOL_CALLS:
            raise LlmError(f"the LLM asked for more than {MOST_TOOL_CALLS} tools at once")
        if self._held_back and not text and not raw:
            raise LlmError(f"the LLM server held the answer back ({self._held_back})")
        calls = tuple(self._made(*item, new_id, last=number == len(raw) - 1) for number, item in enumerate(raw))
        return Answer(text, calls, self._truncated, thought, field if thought else "", tuple(self._details), self._prompt_tokens)

    def _parallel(self, name: str, raw: Any, extra: Any) -> List[Tuple[str, Any, Any]]:
        """The calls within a call of multi_tool_use.parallel, which models of OpenAI's take for a tool."""
        if name.rpartition(".")[2] == "parallel" and "parallel" not in self._known:
            inner = written_calls(raw if isinstance(raw, str) else json.dumps(raw), self._known)
            if inner:
                return [(call.name, call.arguments, None) for call in inner]
        return [(name, raw, extra)]

    def _made(self, name: str, raw: Any, extra: Any, new_id: Callable[[], str], last: bool) -> ToolCall:
        # Some servers leave one of harmony's marks at the name, some models a namespace before it or a number after it.
        name = name.partition("<|")[0].strip()
        if name not in self._known:
            name = next((part for part in re.split(r"[.:]", name) if part in self._known), name)
        if not name:
            raise LlmError("the LLM server sent a tool call without a name")
        arguments, broken = read_arguments(raw)
        # Some servers make {} of what was cut.
        if last and self._truncated and (broken or not arguments):
            broken = CALL_CUT
        # Our own ids: servers give none, or such as their own templates refuse when they come back.
        return ToolCall(name, arguments, new_id(), broken, extra)


def _text_of(value: object) -> str:
    """The text in a part of a content, however deep."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(_text_of(item) for item in value[:1000])
    if isinstance(value, dict):
        return _text_of(value.get("text") or value.get("value") or value.get("content") or value.get("refusal") or "")
    return ""


def _whole_characters(text: str) -> str:
    """Halves of a character that came in two pieces are joined; what stays half becomes a question mark."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _refused(value: Dict[str, Any], begun: bool) -> LlmError:
    where = " in mid-answer" if begun else ""
    refusal = read_refusal(200, value)
    words = refusal.words or words_of(value) or "no reason given"
    return LlmError(f"the LLM server reported an error{where}: {words}", 200, refusal)


def read_answer(chunks: Iterable[bytes], known: Known, new_id: Callable[[], str],
                finishing: Callable[[], None] = lambda: None) -> Answer:
    """An answer from the bytes of its body. `finishing` is called once only usage can follow."""
    reader = Reader(known)
    told = False
    for value in values_of(chunks):
        reader.take(value)
        if reader.done:
            break
        if reader.finished and not told:
            told = True
            finishing()
    return reader.answer(new_id)



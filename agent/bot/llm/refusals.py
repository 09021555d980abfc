"""What servers say when there is no answer, in any shape, and what they mean by it."""

from __future__ import annotations

import enum
import json
import re
from dataclasses import dataclass
from typing import Any, Iterator, Mapping, Optional, Tuple

from ..base.text import one_line

_LONGEST = 200
# Where an error's words stand; what says most comes first.
_WORDED = ("message", "error", "detail", "msg", "errors", "error_description", "description", "reason", "status_msg", "text",
           "title", "type", "code")
_DEEPEST = 8


class Kind(enum.Enum):
    OTHER = "other"
    # The prompt is longer than the server's context.
    CONTEXT = "context"
    # The server does not have the model.
    MODEL = "model"
    # The model is being loaded: the answer comes if one waits.
    LOADING = "loading"
    BUSY = "busy"
    # The model or the server takes no tools.
    NO_TOOLS = "no tools"
    # The model's template takes no system message.
    NO_SYSTEM = "no system"
    # The server could not read what its model wrote; another try can do better.
    GARBLED = "garbled"


@dataclass(frozen=True)
class Refusal:
    kind: Kind
    # The server's own words on one line; empty if it had none.
    words: str
    # For CONTEXT: how many tokens the server reads and how many it was sent; 0 if it did not say.
    context_tokens: int = 0
    prompt_tokens: int = 0
    # For BUSY: after how many seconds to ask again, if the words say so.
    wait_s: Optional[float] = None


# What engines call the length of their context.
_LENGTHS = r"(?:n_ctx|max_position_embeddings|max_model_len|cache size|max(?:imum)?[_ ](?:seq(?:uence)?|model)[_ ]len(?:gth)?)"
_CONTEXT_WORDS = re.compile(
    r"context[ _-]?(?:length|size|window|limit)?[^.;]{0,40}(?:exceed|too (?:long|large|small)|overflow|not enough)"
    r"|(?:exceed|too (?:long|large)|(?:larger|longer|greater) than|overflow|fit)[^.;]{0,60}context"
    r"|(?:maximum|max|available) context|context_length_exceeded|exceed_context_size|context length (?:of|is) (?:only )?\d+"
    r"|(?:prompt|input|messages?) (?:is |are )?too (?:long|large)|request is too (?:long|large)"
    r"|too many (?:input |prompt )?tokens|maximum prompt length|prompt exceeds max|range of input length"
    r"|exceed\w* (?:the |this |your )?model(?:'s)? token limit"
    r"|inputs?` tokens|reduce the length of|must have less than \d+ tokens|token count.{0,40}exceed"
    r"|(?:exceed|longer than|larger than|greater than|>=?)[^.;]{0,40}" + _LENGTHS)
# What stands around the number of tokens that the server reads, and around the number that it was sent.
_CONTEXT_NUMBERS = tuple(re.compile(pattern) for pattern in (
    r"n_ctx\D{0,12}(\d+)", r"context (?:size|length|window|limit)\D{0,24}?(\d+)", r"must be <= ?(\d+)",
    _LENGTHS + r"\D{0,12}(\d+)", r"range of input length should be \[\d+, ?(\d+)", r"less than (\d+) tokens",
    r"(?<!\d)(\d+)(?:[ -]tokens?)? (?:maximum|max|context)",
    r"(?:maximum|\bmax|limit|at most)\D{0,32}?(\d+)"))
_PROMPT_NUMBERS = tuple(re.compile(pattern) for pattern in (
    r"n_prompt_tokens\D{0,8}(\d+)", r"(?:request|count|length|n_keep) \(?(\d+)",
    r"(?:requested|resulted in|contains|given:?|has|got|sent|keep the first)\D{0,16}(\d+)",
    r"(?<!\d)(\d+) (?:input |prompt )?tokens"))
_MODEL_WORDS = re.compile(
    r"model_not_found|models?\b.{0,120}(?:not found|not exist|not available|is not loaded|unknown)"
    r"|no endpoints found for|(?:no such|unknown|invalid|no) models?\b(?! output)"
    r"|no models? (?:is |are )?loaded|not found.{0,20}\bmodel\b"
    r"|try pulling it|(?:could not|cannot) find .{0,20}model|not a valid model|model.{0,80}decommissioned")
_BUSY_STATUSES = (429, 503, 529)
_BUSY_WORDS = re.compile(r"overloaded|at capacity|too many requests|rate limit")
# An account without money left is not busy.
_SPENT_WORDS = re.compile(r"insufficient_quota|insufficient balance|credit balance is too low")
_WAIT = re.compile(r"(?:retrydelay\W{1,6}|(?:try again|retry) in )(\d{1,6}(?:\.\d{1,6})?) ?s")
_GARBLED_WORDS = re.compile(
    r"error parsing tool call|failed to parse (?:input|tool|function|output)|invalid diff: now finding"
    r"|unexpected empty grammar stack|tool_use_failed|failed to call a function|malformed_function_call"
    r"|unexpected tokens remaining in message header")
_LOAD_FAILED = re.compile(r"error loading|(?:unable|fail\w*|not|cannot) (?:to )?(?:be )?load")
_LOADING_WORDS = re.compile(
    r"loading (?:the )?model|model.{0,80}(?:loading|being loaded|warming|starting|initiali[sz]ing)"
    r"|(?:is|still) (?:currently )?loading"
    r"|warming up|(?:model|server|service|engine).{0,40}(?:not (?:yet )?ready|starting up)")
_NO_TOOLS_WORDS = re.compile(
    r"not support (?:the )?(?:use of )?(?:tools?|function)|enable-auto-tool-choice|requires --jinja|tools param requires"
    r"|(?:tools?|functions|(?:tools?|functions?) (?:calling|calls?|use))\W{1,3}(?:are|is) not (?:supported|enabled)"
    r"|no endpoints found that support tool"
    r"|(?:unsupported|unknown|unrecognized)[^.;]{0,30}\btools\b(?![.\[])"
    r"|extra inputs are not permitted.{0,20}\btools\b|\btools\b(?![.\[]|\", ?\d).{0,60}extra inputs are not permitted"
    r"|only user.{0,60}optional system message.{0,20}supported")
_NO_SYSTEM_WORDS = re.compile(
    r"(?:system|developer) (?:role|messages?|prompts?|instructions?).{0,20}(?:not supported|not enabled|not allowed|unsupported)"
    r"|not support (?:the )?system"
    r"|role' does not support 'system'|only user.{0,30} roles are supported|conversation roles must alternate")


def words_of(value: object, depth: int = 0) -> str:
    """What an error says, in any of its shapes: text, {"message"}, {"error"}, {"detail"}, lists of those."""
    if depth > _DEEPEST:
        return ""
    if isinstance(value, str):
        return one_line(value, _LONGEST)
    if isinstance(value, list):
        return one_line("; ".join(filter(None, (words_of(item, depth + 1) for item in value[:5]))), _LONGEST)
    if isinstance(value, dict):
        # Some write {"Message": words}.
        value = {str(name)[:1].lower() + str(name)[1:]: item for name, item in value.items()}
        words = next(filter(None, (words_of(value.get(name), depth + 1) for name in _WORDED)), "")
        if not words:
            # {"error doing this": words}, or an object with the words among others.
            said = (f"{name}: {words_of(item, depth + 1)}" for name, item in value.items() if _is_error(name, item))
            inner = (words_of(item, depth + 1) for item in value.values() if isinstance(item, dict))
            return one_line(next(said, "") or next(filter(None, inner), ""), _LONGEST)
        return one_line(words + _where(value, words) + _behind(value, words, depth), _LONGEST)
    return "" if value is None or isinstance(value, (bool, dict)) else one_line(str(value), _LONGEST)


def _is_error(name: str, value: object) -> bool:
    return name.startswith("error") and bool(value)


def _where(value: Mapping[str, Any], words: str) -> str:
    """The field that a check complains of, where its words do not name it."""
    place = value.get("loc")
    name = place[-1] if isinstance(place, list) and place else value.get("param")
    if not isinstance(name, str) or name.lower() in ("", "none", "null"):
        return ""
    return "" if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", words) else f" ({name})"


def _behind(value: Mapping[str, Any], words: str, depth: int) -> str:
    """What the server said that a router has asked."""
    metadata = value.get("metadata")
    raw = metadata.get("raw") if isinstance(metadata, dict) else None
    if isinstance(raw, str):
        try:
            raw = json.loads(raw, strict=False)
        except (ValueError, RecursionError):
            pass
    said = words_of(raw, depth + 1)
    return f": {said}" if said and said not in words else ""


def error_in(value: Mapping[str, Any]) -> bool:
    """Whether an object of a stream is an error and no part of an answer."""
    if value.get("object") == "error" or any(_is_error(name, item) for name, item in value.items()):
        return True
    if value.get("choices") or isinstance(value.get("message"), dict):
        return False
    return any(isinstance(value.get(name), (str, list, dict)) and bool(value[name]) for name in ("message", "detail"))


def _numbers(text: str, patterns: "Tuple[re.Pattern[str], ...]") -> Iterator[int]:
    for pattern in patterns:
        for found in pattern.finditer(text):
            if len(found.group(1)) < 10:
                yield int(found.group(1))


def read_refusal(status: int, value: object) -> Refusal:
    """What a server meant by an error's value (or its plain text) under an HTTP status."""
    words = words_of(value)
    text = (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)).lower().replace("\\n", " ")[:20000]
    # 4,096 is a number.
    text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text)
    if _GARBLED_WORDS.search(text):
        return Refusal(Kind.GARBLED, words)
    if status == 413 or _CONTEXT_WORDS.search(text):
        context = next(_numbers(text, _CONTEXT_NUMBERS), 0)
        sent = max((number for number in _numbers(text, _PROMPT_NUMBERS) if number > context), default=0)
        return Refusal(Kind.CONTEXT, words, context, sent)
    for kind, pattern in ((Kind.NO_TOOLS, _NO_TOOLS_WORDS), (Kind.NO_SYSTEM, _NO_SYSTEM_WORDS)):
        if pattern.search(text):
            return Refusal(kind, words)
    if _LOADING_WORDS.search(text) and not _LOAD_FAILED.search(text):
        return Refusal(Kind.LOADING, words)
    if _MODEL_WORDS.search(text) and status not in (401, 403):
        return Refusal(Kind.MODEL, words)
    if _SPENT_WORDS.search(text) or not (status in _BUSY_STATUSES or _BUSY_WORDS.search(text)):
        return Refusal(Kind.OTHER, words)
    wait = _WAIT.search(text)
    return Refusal(Kind.BUSY, words, wait_s=float(wait.group(1)) if wait else None)


def refusal_of_body(status: int, body: str) -> Refusal:
    """The same of an answer's whole body: an event, JSON or plain text. A page of HTML says nothing."""
    text = body.strip().lstrip("\ufeff")
    if text.startswith("<"):
        return read_refusal(status, "")
    found = re.match(r"(?:event:[^\n]*\n)?(?:data|error):\s*(.*)", text, re.S)
    text = found.group(1) if found else text
    try:
        value = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        value = text
    return read_refusal(status, value)

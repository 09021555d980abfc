"""What LLM servers send, as it was seen or as their sources say: one row a habit. Bytes in, what is said and what is asked
next out. `test_transcripts` plays the rows."""

from __future__ import annotations

import gzip
import json
import zlib
from dataclasses import dataclass, field
from typing import Any, Dict, List, Tuple, Union

JSON = "application/json"
EVENTS = "text/event-stream"
LINES = "application/x-ndjson"


@dataclass(frozen=True)
class Reply:
    body: bytes
    kind: str = EVENTS
    status: int = 200
    headers: Tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    habit: str
    replies: Tuple[Reply, ...]
    # What is said, or a regular expression for why nothing is.
    said: str = ""
    error: str = ""
    # What the last request holds after the question: calls and what came of them.
    asked: Tuple[str, ...] = ()
    requests: int = 1
    api: str = "openai"
    tools: bool = True
    llm: Dict[str, Any] = field(default_factory=dict)
    # Lines of the last request, as JSON, that must be or must not be there.
    sent: Tuple[str, ...] = ()
    unsent: Tuple[str, ...] = ()


def data(*values: Any, eol: str = "\n", done: bool = True) -> bytes:
    """Server-sent events of these values; text stays as it is."""
    events = [value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for value in values]
    return "".join(f"data: {event}{eol}{eol}" for event in events + ["[DONE]"] * done).encode()


def delta(content: Any = ..., finish: Any = None, **more: Any) -> Dict[str, Any]:
    message = {**({} if content is ... else {"content": content}), **more}
    return {"choices": [{"index": 0, "delta": message, "finish_reason": finish}]}


def stream(*pieces: Any, finish: str = "stop", **how: Any) -> Reply:
    """An OpenAI stream of texts and deltas."""
    values = [delta(**item) if isinstance(item, dict) else delta(item) for item in pieces]
    return Reply(data(*values, delta(finish=finish), **how))


def whole(content: Any = None, finish: Any = "stop", **more: Any) -> Reply:
    value = {"object": "chat.completion", "choices": [{"index": 0, "message": {"role": "assistant", "content": content, **more}, "finish_reason": finish}]}
    return Reply(json.dumps(value).encode(), JSON)


def lines(*messages: Any, **last: Any) -> Reply:
    """An Ollama stream of texts and messages."""
    values: List[Dict[str, Any]] = [
        {"model": "m", "created_at": "2026-01-01T00:00:00Z", "done": False,
         "message": {"role": "assistant", "content": "", **({"content": item} if isinstance(item, str) else item)}} for item in messages]
    values.append({"model": "m", "message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop", **last})
    return Reply("".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values).encode(), LINES)


def failed(status: int, body: Union[str, Dict[str, Any], List[Any]], kind: str = JSON, *headers: str) -> Reply:
    return Reply((body if isinstance(body, str) else json.dumps(body)).encode(), kind, status, headers)


def piece(index: Any = 0, call_id: Any = "c1", name: Any = "run_command", arguments: Any = '{"command": "a"}') -> Dict[str, Any]:
    """One piece of a native call; what is left out is written as ..."""
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not ...}
    outer = {key: value for key, value in (("index", index), ("id", call_id)) if value is not ...}
    return {**outer, "type": "function", "function": function}


def calls(*pieces: Dict[str, Any], together: bool = False, finish: str = "tool_calls") -> Reply:
    groups = [list(pieces)] if together else [[item] for item in pieces]
    return stream(*({"tool_calls": group} for group in groups), finish=finish)


OK = stream("ok")
A = 'call run_command {"command": "a"}'
B = 'call run_command {"command": "b"}'
RAN_A, RAN_B = 'tool ran run_command {"command": "a"}', 'tool ran run_command {"command": "b"}'
ONE, TWO = (A, RAN_A), (A + "; " + B[5:], RAN_A, RAN_B)
TEXT_CALL = '{"name": "run_command", "arguments": {"command": "a"}}'
SECOND = '{"name": "run_command", "arguments": {"command": "b"}}'
ARGS_B = '{"command": "b"}'



def row(habit: str, *replies: Reply, **more: Any) -> Row:
    more.setdefault("requests", len(replies))
    return Row(habit, replies, **more)


def text_call(habit: str, text: str, asked: Tuple[str, ...] = ONE) -> Row:
    return Row(f"a call written as text: {habit}", (stream(text), OK), said="ok", asked=asked, requests=2)


def thought(habit: str, text: str) -> Row:
    return Row(f"a thought: {habit}", (stream(text),), said="The answer.")


FRAMES = [
    row("events as the standard has them", stream("hel", "lo")),
    row("lines that end with CR LF", stream("hel", "lo", eol="\r\n")),
    row("lines that end with CR", stream("hel", "lo", eol="\r")),
    row("a byte order mark", Reply(b"\xef\xbb\xbf" + stream("hello").body)),
    row("no space after the colon", Reply(stream("hello").body.replace(b"data: ", b"data:"))),
    row("comments that keep the connection alive", Reply(b": ping\n\n: OPENROUTER PROCESSING\n\n" + stream("hello").body.replace(b"\n\n", b"\n\n:\n\n"))),
    row("names, numbers and retries of events", Reply(b"retry: 3000\n\n" + stream("hel", "lo").body.replace(b"data: {", b"event: message\nid: 7\nx-vendor: y\ndata: {"))),
    row("one event in several data lines", Reply(stream("hello").body.replace(b'"delta": ', b'"delta":\ndata: '))),
    row("no blank line between events", Reply(stream("hel", "lo").body.replace(b"\n\n", b"\n"))),
    row("a stream without [DONE]", stream("hello", done=False)),
    row("no reason at the end but [DONE]", Reply(data(delta("hello")))),
    row("an object a line instead of events", Reply(stream("hel", "lo").body.replace(b"data: ", b"").replace(b"[DONE]", b""), LINES)),
    row("a whole answer", whole("hello")),
    row("a whole answer on many lines", Reply(json.dumps(json.loads(whole("hello").body), indent=2).encode() + b"\r\n\r\n", JSON)),
    row("a whole answer without a reason", whole("hello", finish=None)),
    row("a whole answer of Ollama's", Reply(b'{"message": {"role": "assistant", "content": "hello"}, "done": true}', JSON), api="ollama"),
    row("a whole answer as one event", Reply(b"data: " + whole("hello").body + b"\n\n")),
    row("an answer of a completion", Reply(data({"choices": [{"index": 0, "text": "hello", "finish_reason": "stop"}]}))),
    row("what the other protocol would send (Ollama's)", lines("hel", "lo"), api="openai"),
    row("what the other protocol would send (OpenAI's)", stream("hel", "lo"), api="ollama"),
    row("no body after status 200", Reply(b""), error="cut its answer off"),
    row("the end in mid-value", Reply(stream("hello").body[:-40]), error="cut its answer off"),
    row("the end before any reason", Reply(data(delta("hello"), done=False)), error="cut its answer off"),
    row("the end of lines before done", Reply(lines("hello").body.partition(b"\n")[0], LINES), error="cut its answer off", api="ollama"),
    row("a page", Reply(b"<!DOCTYPE html><html>hello</html>", "text/html"), error="not its protocol"),
    row("plain text", Reply(b"Hello there\n", "text/plain"), error="not its protocol.* .it says: Hello there.$"),
    row("a reason that is empty or a word until the end", Reply(data(delta("hel", ""), delta("lo", "null"), delta("", "STOP")))),
    row("a limit that is named otherwise", Reply(data(delta("hello", "MAX_TOKENS"))), said="hello […]"),
    row("an end between quotes", Reply(data(delta("hello"), '"[DONE]"', done=False))),
    row("null instead of a value", Reply(data("null", delta("hello"), delta(finish="stop"), "null"))),
    row("an error after the end", Reply(data(delta("hello", "stop"), {"error": "out of memory"}))),
    row("content that is null", Reply(data(delta(None), delta("hello"), delta(None, "stop")))),
    row("a list of parts", stream([{"type": "text", "text": "hel"}], [{"type": "output_text", "text": {"value": "lo"}}])),
    row("parts of which one is a thought", whole([{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "hello"}])),
    row("parts that are thoughts by their kind or by a mark (Gemini)", whole([{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "hm", "thought": True},
                                                                           {"type": "text", "text": "hel", "thought": False}, {"type": "text", "text": "lo", "thought": None}])),
    row("null for all that is not used", Reply(data({"id": None, "error": None, "usage": None, "choices": [
        {"delta": {"role": None, "content": "hello", "tool_calls": None, "function_call": None, "refusal": None, "reasoning_content": None},
         "finish_reason": None, "logprobs": None}]}, delta(finish="stop")))),
    row("choices left empty", Reply(data({"choices": []}, delta("hello"), delta(finish="stop"), {"choices": [], "usage": {"prompt_tokens": 9}}))),
    row("a refusal in its own field", Reply(data(delta(refusal="hello"), delta(finish="stop")))),
    row("a character cut into two halves", Reply(data('{"choices": [{"delta": {"content": "hello \\ud83d"}}]}', '{"choices": [{"delta": {"content": "\\ude00"}}]}',
                                                      delta(finish="stop"))), said="hello 😀"),
    row("line breaks within a text that JSON would escape", Reply(b'{"message": {"content": "hel\tlo"}, "done": true}', LINES), said="hel\tlo", api="ollama"),
    row("all that was said so far beside what is new (Perplexity)", Reply(data(*[{"choices": [{"delta": piece, "message": {"content": so_far}, "finish_reason": end}]}
                                                                              for piece, so_far, end in (({"content": "hel"}, "hel", None), ({"content": "lo"}, "hello", None), ({}, "hello", "stop"))]))),
    row("one part that is not in a list", whole({"type": "text", "text": "hello"})),
    row("results of a filter before the answer (Azure)", Reply(data({"choices": [], "prompt_filter_results": [{"prompt_index": 0}]}, delta("", role="assistant"), delta("hello"),
                                                                    delta(finish="stop")))),
    row("progress before the answer (llama-server)", Reply(data({"choices": [{"index": 0, "delta": {"role": "assistant", "content": None}, "finish_reason": None}],
                                                                 "prompt_progress": {"total": 9, "cache": 0, "processed": 9}}, delta("hello"), delta(finish="stop")))),
    row("comments that count what was read (MLX)", Reply(b": keepalive 100/2000\n\n: keepalive 2000/2000\n\n" + stream("hello").body)),
    row("empty lines while it waits (DeepSeek)", Reply(b"\n\n\n\n" + whole("hello").body, JSON)),
    row("null among the choices and calls", Reply(data({"choices": [None]}, delta("hello", tool_calls=[None]), delta(finish="stop")))),
    row("a mark of the turn's end (ChatML)", stream("hello<|im_end|>")),
    row("a mark of the turn's end after a sentence (Llama)", stream("hello. <|eot_id|>"), said="hello."),
    row("marks of the turn's end (Gemma)", stream("hello<end_of_turn>\n<end_of_turn>")),
    *[row(f"a mark of the turn's end: {end}", stream("hello" + end)) for end in
      ("<|eom_id|>", "<|eot|>", "<|observation|>", "<|user|>", "<|return|>", "<|END_OF_TURN_TOKEN|>", "<end_of_utterance>", "[|endofturn|]")],
    row("a mark of the text's end (Mistral)", stream("hello</s>")),
    row("marks around the turn", stream("<|im_start|>assistant\nhello\n<|im_end|>")),
    *[row(f"a mark of the turn's end that is spoken of: {text}", stream(text), said=text) for text in
      ("A turn ends with <|im_end|>", "A turn ends with:\n\n<|im_end|>")],
    row("a tag that looks like the text's end", stream("Write <s>old</s>"), said="Write <s>old</s>"),
    row("usage of its own beside the answer (Groq)", Reply(data(delta("hello"), {**delta(finish="stop"), "x_groq": {"id": "r", "usage": {"prompt_tokens": 9}}}))),
]

# What HTTP does to a body; the reader never sees it.
PACKED = [
    row("a body that is packed without being asked for", Reply(gzip.compress(stream("hello").body), EVENTS, 200, ("Content-Encoding: gzip",))),
    row("a body that is packed without its beginning", Reply(zlib.compress(stream("hello").body)[2:-4], EVENTS, 200, ("Content-Encoding: deflate",))),
    row("a body that is packed the other way", Reply(zlib.compress(stream("hello").body), EVENTS, 200, ("Content-Encoding: deflate",))),
    row("a body that is packed in two parts", Reply(gzip.compress(stream("hello").body[:60]) + gzip.compress(stream("hello").body[60:]), EVENTS, 200,
                                                   ("Content-Encoding: gzip",))),
    row("zeros behind what is packed", Reply(gzip.compress(whole("hello").body) + bytes(99), JSON, 200, ("Content-Encoding: gzip",))),
    row("a body whose packing is cut off", Reply(gzip.compress(stream("hello").body)[:40], EVENTS, 200, ("Content-Encoding: gzip",)), error="cut its answer off"),
    row("an error that is packed", Reply(gzip.compress(b'{"error": "out of memory"}'), JSON, 500, ("Content-Encoding: gzip",)), error="status 500: out of memory"),
    row("a body that is not packed as it says", Reply(stream("hello").body, EVENTS, 200, ("Content-Encoding: gzip",)), error="cut its answer off"),
]

WITHOUT_TOOLS: List[Tuple[str, Any]] = [
    ("Gemma at Google", [{"error": {"code": 400, "message": "Function calling is not enabled for models/gemma-3-27b-it", "status": "INVALID_ARGUMENT"}}]),
    ("Groq", {"error": {"message": "`tool calling` is not supported with this model"}}),
    ("OpenAI", {"error": {"message": "Unsupported parameter: 'tools' is not supported with this model.", "param": "tools", "code": "unsupported_parameter"}}),
    ("a strict server", {"detail": [{"type": "extra_forbidden", "loc": ["body", "tools"], "msg": "Extra inputs are not permitted"}]}),
]
WITHOUT_SYSTEM: List[Tuple[str, Any]] = [
    ("Gemma at Google", [{"error": {"code": 400, "message": "Developer instruction is not enabled for models/gemma-3-27b-it"}}]),
    ("OpenAI", {"error": {"message": "Unsupported value: 'messages[0].role' does not support 'system' with this model.", "param": "messages[0].role"}}),
]

ERRORS = [
    row("error as text", failed(500, {"error": "out of memory"}), error="status 500: out of memory"),
    row("error as an object", failed(500, {"error": {"message": "out of memory", "code": 500}}), error="status 500: out of memory"),
    row("error as a list", failed(500, [{"error": {"message": "out of memory"}}]), error="status 500: out of memory"),
    row("error as a list within", failed(500, {"error": ["out of memory", {"msg": "and disk"}]}), error="out of memory; and disk"),
    row("the gateway's for Ollama", failed(502, {"error": "the gateway cannot reach the LLM server 'local'"}), error="cannot reach the LLM server 'local'", api="ollama"),
    row("the gateway's for others", failed(502, {"error": {"message": "the gateway does not trust the certificate of the LLM server 'a'", "type": "server_error", "code": "untrusted"}}), error="does not trust the certificate"),
    row("the gateway's in the middle of events", Reply(data(delta("I th"), done=False) + b'\n\ndata: {"error":{"message":"the LLM server \'a\' broke off its answer","type":"server_error","code":"broken_off"}}\n\n'), error="'a' broke off its answer"),
    row("the gateway's between lines", Reply(b'{"message":{"content":"I th"}}\n\n{"error":"the LLM server \'a\' broke off its answer"}\n', LINES), error="'a' broke off its answer", api="ollama"),
    row("the gateway's in the middle of a line", Reply(b'{"message":{"content":"I th"}}\n{"messa\n{"error":"the LLM server \'a\' broke off its answer"}\n', LINES), error="cut its answer off", api="ollama"),
    row("only a message", failed(500, {"object": "error", "message": "out of memory", "type": "x"}), error="status 500: out of memory"),
    row("only a message, with a capital (AWS)", failed(500, {"Message": "out of memory"}), error="status 500: out of memory"),
    row("a model that is not there (Gemini)", failed(404, [{"error": {"code": 404, "message": "models/x is not found for API version v1main, or is not supported for generateContent."}}]),
        error="does not have the model test-model.*models/x is not found"),
    row("a value that is not taken, its field named beside (OpenAI)", failed(400, {"error": {"message": "Invalid value: 'none'. Supported values are: 'low', 'medium', and 'high'.",
                                                                                            "param": "reasoning_effort", "code": "invalid_value"}}), stream("hello"),
        llm={"think": False}, unsent=("reasoning_effort",)),
    row("a detail", failed(500, {"detail": "out of memory"}), error="status 500: out of memory"),
    row("details of a check", failed(422, {"detail": [{"loc": ["body", "x"], "msg": "field required"}]}), error="status 422: field required"),
    row("words that are not JSON", failed(500, "out of\nmemory\n", "text/plain"), error="status 500: out of memory"),
    row("a page of a proxy", failed(502, "<html><h1>502</h1></html>", "text/html"), error="status 502$"),
    row("an error as an event under its status", failed(500, 'data: {"error": {"message": "out of memory"}}\n\n', EVENTS), error="500: out of memory"),
    row("an error line", Reply(b'error: {"code": 500, "message": "out of memory"}\n\n'), error="reported an error: out of memory"),
    row("an error line of words", Reply(b"error: out of memory\n\n"), error="reported an error: out of memory"),
    row("an error event", Reply(b'event: error\ndata: {"message": "out of memory"}\n\n'), error="reported an error: out of memory"),
    row("an error under status 200", Reply(b'{"error": "out of memory"}', JSON), error="reported an error: out of memory"),
    row("an error after a part of the answer", Reply(data(delta("hel"), {"error": {"message": "out of memory"}})), error="error in mid-answer: out of memory"),
    row("an error within a choice", Reply(data({"choices": [{"delta": {"content": ""}, "finish_reason": "error", "error": {"code": 502, "message": "out of memory"}}]})),
        error="reported an error: out of memory"),
    row("an error as the reason for the end", Reply(data(delta("hel"), delta("", "error"))), error="error in mid-answer: no reason given"),
    row("a detail that is an object", Reply(b'{"detail": {"error": "out of memory"}}', JSON), error="reported an error: out of memory"),
    row("an error object in a stream", Reply(data({"object": "error", "message": "out of memory"})), error="reported an error: out of memory"),
    row("an error whose words are elsewhere", Reply(data({"message": "out of memory"})), error="reported an error: out of memory"),
    row("an error of Ollama's in mid-answer", Reply(lines("hel").body.partition(b"\n")[0] + b'\n{"error": "out of memory"}\n', LINES), api="ollama",
        error="error in mid-answer: out of memory"),
    row("a key that is not taken", failed(401, {"error": {"message": "Invalid API key"}}), error="refused the API key .status 401.: Invalid API key"),
    row("a path that is not there", failed(404, "", "text/plain"), error="has nothing at /v1/chat/completions"),
    row("a path that is not there, in words (llama-server)", failed(404, {"error": {"code": 404, "message": "File Not Found", "type": "not_found_error"}}), api="ollama",
        error="has nothing at /api/chat .status 404.; check llm.url and llm.api .it says: File Not Found.$"),
    row("a path that takes no questions (FastAPI)", failed(405, {"detail": "Method Not Allowed"}), error="has nothing at /v1/chat/completions .status 405.*it says: Method Not Allowed.$"),
    row("a model that nobody serves (OpenRouter)", failed(404, {"error": {"message": "No endpoints found for x/y.", "code": 404}}), error="does not have the model test-model.*No endpoints found"),
    row("a model that is not there (Ollama)", failed(404, {"error": "model 'test-model' not found"}), api="ollama",
        error="ollama pull test-model .it says: model 'test-model' not found"),
    row("a model that is not there (OpenAI)", failed(404, {"error": {"message": "The model `x` does not exist", "code": "model_not_found"}}),
        error="does not have the model test-model.*The model `x` does not exist"),
    row("a model that is not there (LM Studio)", failed(400, {"error": {"message": "No models loaded. Please load a model in the developer page."}}),
        error="does not have the model.*No models loaded"),
    row("a filter that holds the answer back", stream("", finish="content_filter"), error="held the answer back .content_filter"),
    row("a filter of Gemini's", stream("", finish="PROHIBITED_CONTENT"), error="held the answer back .PROHIBITED_CONTENT"),
    row("a filter of Gemini's with both names", Reply(data({"choices": [{"index": 0, "finish_reason": "content_filter: SAFETY"}]})), error="held the answer back .content_filter: SAFETY"),
    row("an answer that the server gave up (DeepSeek)", stream("hel", finish="insufficient_system_resource"), error="error in mid-answer: insufficient_system_resource"),
    row("an answer that was aborted (vLLM)", stream("hel", finish="abort"), error="error in mid-answer: abort"),
    row("a call that the server could not read (Ollama)", failed(500, {"error": "error parsing tool call: raw='ls -R\\n', err=invalid character 'l' looking for beginning of value"}),
        lines("hello"), api="ollama"),
    row("a call that the server could not read, as the name of the error (an older Ollama)", Reply(b'{"error parsing tool call": "invalid character \'c\'"}\n', LINES), lines("hello"),
        api="ollama"),
    row("a call that the server could not read, each time (Groq)", *[failed(400, {"error": {"message": "Failed to call a function. Please adjust your prompt.", "code": "tool_use_failed",
                                                                                     "failed_generation": "<function=x>"}})] * 2,
        error="could not read what its model wrote; ask again, or in other words .it says: Failed to call a function"),
    row("a call that the server could not read, in mid-answer (llama-server)", Reply(data(delta("I th"), done=False)
                                                                                     + b'data: {"error": {"code": 500, "message": "Failed to parse input at pos 4: <tool_call>"}}\n\n'), stream("hello")),
    row("a call that was malformed (Gemini)", stream("", finish="MALFORMED_FUNCTION_CALL"), stream("hello")),
    row("a code of an error beside its words (FastChat)", Reply(data({"text": "**NETWORK ERROR DUE TO HIGH TRAFFIC**", "error_code": 50001})), error="error: .*NETWORK ERROR DUE TO HIGH TRAFFIC"),
    row("an error below the top (MiniMax)", Reply(b'{"id": "x", "choices": null, "base_resp": {"status_code": 1004, "status_msg": "login fail"}}', JSON), error="reported an error: login fail"),
    row("the words of the server behind a router (OpenRouter)", failed(400, {"error": {"message": "Provider returned error", "code": 400, "metadata": {
        "raw": '{"error": {"message": "out of memory", "code": "x"}}', "provider_name": "Y"}}}), error="status 400: Provider returned error: out of memory$"),
    row("the words of the server behind a router, not JSON", failed(400, {"error": {"message": "Provider returned error", "metadata": {"raw": "out of\nmemory"}}}),
        error="Provider returned error: out of memory$"),
    row("an account without money (OpenAI)", failed(429, {"error": {"message": "You exceeded your current quota, please check your plan.", "code": "insufficient_quota"}}),
        error="status 429: You exceeded your current quota"),
    row("an account without money (DeepSeek)", failed(402, {"error": {"message": "Insufficient Balance"}}), error="status 402: Insufficient Balance"),
    row("a model that the memory is too small for", failed(500, {"error": "model requires more system memory (5.5 GiB) than is available (3.2 GiB)"}), api="ollama",
        error="status 500: model requires more system memory"),
    row("a model behind a router that is not there (llama-swap)", failed(404, {"error": "could not find real modelID for test-model"}),
        error="does not have the model test-model.*could not find real modelID"),
    row("a field that is not known, by its place (Mistral)", failed(422, {"object": "error", "message": {"detail": [
        {"type": "extra_forbidden", "loc": ["body", "stream_options"], "msg": "Extra inputs are not permitted", "input": {"include_usage": True}}]}, "type": "invalid_request_error"}),
        stream("hello"), unsent=("stream_options",), sent=('"stream": true',)),
    row("a field that is not known, in a list (Gemini)", failed(400, [{"error": {"code": 400, "status": "INVALID_ARGUMENT", "message":
        'Invalid JSON payload received. Unknown name "chat_template_kwargs": Cannot find field.'}}]), stream("hello"), llm={"think": False}, unsent=("chat_template_kwargs",)),
    row("a model that is streamed to known customers only", failed(400, {"error": {"message": "Your organization must be verified to stream this model.", "param": "stream",
                                                                                  "code": "unsupported_value"}}), whole("hello"), unsent=('"stream"', "stream_options")),
    row("a template of two roles", failed(400, {"error": 'Error rendering prompt with jinja template: "Only user and assistant roles are supported!"'}), stream("hello"),
        unsent=('"role": "system"',), sent=('"tools"',)),
    row("a template of two roles that takes no tools either", *[failed(400, {"error": {"message": "Conversation roles must alternate user/assistant/user/assistant/..."}})] * 2, stream("hello"),
        unsent=('"role": "system"', '"tools"')),
    row("a server that is busy once", failed(503, {"error": "server busy"}, JSON, "Retry-After: 0"), stream("hello")),
    row("a server that is busy twice", failed(429, {"error": "slow down"}, JSON, "Retry-After: 0"), failed(429, {"error": "slow down"}, JSON, "Retry-After: 0"),
        error="busy .status 429.; try again later .it says: slow down"),
    row("a server that is busy by its words", failed(500, {"error": {"message": "The server is overloaded"}}, JSON, "Retry-After: 0"), stream("hello")),
    row("a model that is no more", failed(400, {"error": {"message": "The model `x` has been decommissioned and is no longer supported."}}),
        error="does not have the model test-model.*decommissioned"),
    row("a model that is being initialized", failed(503, {"detail": "Model is initializing"}), stream("hello")),
    row("a model that is being loaded", failed(503, {"error": {"message": "Loading model", "type": "unavailable_error", "code": 503}}), stream("hello")),
    row("a model that never is", failed(503, {"error": {"message": "Loading model"}}), failed(503, {"error": {"message": "Loading model"}}),
        llm={"timeouts": {"first_token_s": 0.5}}, error="still loading the model after .* .it says: Loading model"),
    row("a model that cannot be loaded", failed(500, {"error": "llama runner process has terminated: error loading model"}), api="ollama",
        error="status 500: llama runner process has terminated: error loading model"),
    row("a model without tools (Ollama)", failed(400, {"error": "registry.ollama.ai/library/x does not support tools"}), lines("hello"), api="ollama",
        unsent=('"tools"',)),
    row("a server without tools (vLLM)", failed(400, {"message": '"auto" tool choice requires --enable-auto-tool-choice'}), stream("hello"), unsent=('"tools"',)),
    row("a model that does not think", failed(400, {"error": '"m" does not support thinking'}), lines("hello"), api="ollama", llm={"think": True},
        unsent=('"think"',)),
    *[row(f"what is not about tools or the context: {words}", failed(400, {"error": {"message": words}}), error=f"status 400: {words}") for words in
      ("You exceeded your daily token limit of 2048", "This function is not supported for streams")],
    row("a field within tools that is not taken", failed(422, {"detail": [{"type": "extra_forbidden", "loc": ["body", "tools", 0, "function", "x"], "msg": "Extra inputs are not permitted"}]}),
        error="status 422: Extra inputs are not permitted .x.$"),
    *[row(f"a model without tools: {who}", failed(400, body), stream("hello"), unsent=('"tools"',)) for who, body in WITHOUT_TOOLS],
    *[row(f"a model without a system message: {who}", failed(400, body), stream("hello"), unsent=('"role": "system"',), sent=('"tools"',))
      for who, body in WITHOUT_SYSTEM],
    row("a template that takes no system message", failed(500, {"error": {"message": "System role not supported"}}), stream("hello"),
        unsent=('"role": "system"',)),
    row("a server that does not know a field", failed(400, {"error": {"message": "Unrecognized request argument supplied: chat_template_kwargs"}}), stream("hello"),
        llm={"think": False}, sent=('"reasoning_effort": "none"',), unsent=("chat_template_kwargs",)),
    row("a strict server that does not know two", failed(422, {"detail": [{"loc": ["body", "reasoning_effort"], "msg": "Extra inputs are not permitted: reasoning_effort"}]}),
        failed(422, {"detail": [{"msg": "Extra inputs are not permitted: stream_options"}]}), stream("hello"), llm={"think": False},
        unsent=("stream_options", "reasoning_effort"), sent=("enable_thinking",)),
    row("a server that calls the limit otherwise", failed(400, {"error": {"message": "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
                                                               "'max_completion_tokens' instead."}}), stream("hello"), llm={"max_tokens": 77},
        sent=('"max_completion_tokens": 77',), unsent=('"max_tokens"',)),
    row("a model that has one temperature", failed(400, {"error": {"message": "Unsupported value: 'temperature' does not support 0.5 with this model."}}), stream("hello"),
        llm={"temperature": 0.5}, unsent=('"temperature"',)),
    row("another bad request", failed(400, {"error": "invalid option temperature"}), error="invalid option temperature"),
]

_SMALL = {"num_ctx": 8192}


def small(habit: str, body: Any, status: int = 400) -> Row:
    """A context that is too small: older things are left out, and it is asked once more."""
    return row(f"a context that is too small: {habit}", failed(status, body) if status != 200 else Reply(data(body)), stream("hello"), llm=_SMALL)


CONTEXTS = [
    small("llama-server", {"error": {"code": 400, "message": "request (3000 tokens) exceeds the available context size (2048 tokens), try increasing it",
                                     "type": "exceed_context_size_error", "n_prompt_tokens": 3000, "n_ctx": 2048}}),
    small("an older llama-server", {"error": {"message": "the request exceeds the available context size. try increasing the context size or enable context shift"}}),
    small("vLLM", {"object": "error", "message": "This model's maximum context length is 2048 tokens. However, you requested 3000 tokens in the messages."}),
    small("OpenAI", {"error": {"message": "This model's maximum context length is 2048 tokens.", "code": "context_length_exceeded"}}),
    small("LM Studio, under status 200", {"error": "Trying to keep the first 3000 tokens when context the overflows. However, the model is loaded with "
                                          "context length of only 2048 tokens, which is not enough."}, 200),
    small("llama-cpp-python", {"error": {"message": "Requested tokens (3000) exceed context window of 2048"}}, 500),
    small("text-generation-inference", {"error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 2048. Given: 3000 `inputs` tokens", "error_type": "validation"}, 422),
    small("vLLM, of its request", {"error": {"message": "You passed 3000 input tokens and requested 100 output tokens. However, the model's context length is only 2048 tokens, "
                                            "resulting in a maximum input length of 1948 tokens."}}),
    small("vLLM, of its prompt", {"error": {"message": "The decoder prompt (length 3000) is longer than the maximum model length of 2048."}}),
    small("SGLang", {"object": "error", "message": "The input (3000 tokens) is longer than the model's context length (2048 tokens)."}),
    small("LM Studio, of what it keeps", {"error": "Cannot truncate prompt with n_keep (3000) >= n_ctx (2048)"}),
    small("KoboldCpp", {"detail": {"msg": "Prompt is too long, max 2048", "type": "bad_input"}}),
    small("TabbyAPI", {"error": {"message": "Prompt length 3000 is greater than max_seq_len 2048"}}),
    small("text-generation-inference, of inputs", {"error": "Input validation error: `inputs` must have less than 2048 tokens. Given: 3000"}, 422),
    small("a new Ollama", {"error": "prompt is too long: 3000 tokens, limit 2048"}),
    small("numbers with commas", {"error": "maximum context length is 2,048 tokens, you sent 3,000 tokens"}),
    small("vLLM, of the limit of an answer", {"error": {"message": "'max_tokens' or 'max_completion_tokens' is too large: 1000. This model's maximum context length is 2048 tokens and your "
                                                      "request has 3000 input tokens (1000 > 2048 - 3000). (parameter=max_tokens, value=1000)"}}),
    small("Groq", {"error": {"message": "Request too large for model `x` on tokens per minute (TPM): Limit 2048, Requested 3000, please reduce your message size and try again.",
                             "code": "rate_limit_exceeded"}}, 413),
    small("xAI", {"code": "Client specified an invalid argument", "error": "This model's maximum prompt length is 2048 but the request contains 3000 tokens."}),
    small("Moonshot", {"error": {"message": "Invalid request: Your request exceeded model token limit: 2048", "type": "invalid_request_error"}}),
    small("Moonshot, otherwise", {"error": {"message": "Your request exceeds the model's token limit: 2048"}}),
    small("Zhipu", {"error": {"code": "1261", "message": "Prompt exceeds max length"}}),
    small("DashScope", {"error": {"message": "<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 2048]", "code": "invalid_parameter_error"}}),
    small("a proxy", "<html><h1>413 Request Entity Too Large</h1></html>", 413),
    small("Ollama", {"error": "the input length exceeds the context length"}),
    row("a prompt that fills the context, and no answer", Reply(data({"choices": [], "usage": {"prompt_tokens": 36000, "completion_tokens": 0}})),
        error="empty answer: its prompt has 36000 tokens, and the context 8192"),
    small("two words", {"object": "error", "message": "prompt too long", "code": 400}, 200),
    row("a context that stays too small", *[failed(400, {"error": {"message": "request (3000 tokens) exceeds the available context size (512 tokens)", "n_ctx": 512}})] * 2,
        error="context of 512 tokens is too small for this.*exceeds the available"),
    row("a question that a proxy does not take, however short it is made", failed(413, "<html><h1>413 Request Entity Too Large</h1></html>", "text/html"),
        error=r"context of \d+ tokens is too small for this;.*persona \(status 413\)$", requests=2),
]

CALLS = [
    row("a call in pieces", calls(piece(arguments=""), piece(call_id=..., name=..., arguments='{"comm'), piece(call_id=..., name=..., arguments='and": "a"}')), OK,
        asked=ONE),
    row("two calls in pieces that mix", calls(piece(0, "x", arguments='{"com'), piece(1, "y", arguments='{"com'), piece(0, ..., ..., 'mand": "a"}'), piece(1, ..., ..., 'mand": "b"}')), OK,
        asked=TWO),
    row("every call numbered 0, with ids", calls(piece(0, "x"), piece(0, "y", arguments=ARGS_B)), OK, asked=TWO),
    row("every call numbered 0, without ids", calls(piece(0, ...), piece(0, ..., arguments=ARGS_B)), OK, asked=TWO),
    row("no number and no id", calls(piece(..., ...), piece(..., ..., arguments=ARGS_B)), OK, asked=TWO),
    row("every call numbered 0, with one id", calls(piece(0, "x"), piece(0, "x", arguments=ARGS_B)), OK, asked=TWO),
    row("the number in the first piece only", calls(piece(0, "x", arguments='{"comm'), piece(None, ..., ..., 'and": "a"}')), OK, asked=ONE),
    row("the id in every piece", calls(piece(..., "x", arguments='{"comm'), piece(..., "x", ..., 'and": "a"}'), piece(..., "y", arguments=ARGS_B)), OK, asked=TWO),
    row("two calls without arguments, one after the other", lines(*[{"tool_calls": [{"function": {"name": "run_command", "arguments": {}}}]}] * 2), lines("ok"),
        api="ollama", asked=("call run_command {}; run_command {}", "tool ran run_command {}", "tool ran run_command {}")),
    row("number and id null", calls(piece(None, None), piece(None, None, arguments=ARGS_B)), OK, asked=TWO),
    row("number and id null, in one list", calls(piece(None, None), piece(None, None, arguments=ARGS_B), together=True), OK, asked=TWO),
    row("no number, in pieces", calls(piece(..., ..., arguments='{"comm'), piece(..., ..., ..., 'and": "a"}'), piece(..., ..., arguments=ARGS_B)), OK, asked=TWO),
    row("the name in every piece", calls(piece(arguments='{"comm'), piece(arguments='and": "a"}')), OK, asked=ONE),
    row("the name again at the end", calls(piece(), piece(arguments="")), OK, asked=ONE),
    row("the name in pieces", calls(piece(name="run_", arguments=""), piece(name="command", arguments="")), OK,
        asked=("call run_command {}", "tool ran run_command {}")),
    row("an empty id", calls(piece(0, ""), piece(1, "", arguments=ARGS_B)), OK, asked=TWO),
    row("arguments as an object", calls(piece(arguments={"command": "a"})), OK, asked=ONE),
    row("arguments as JSON in JSON", calls(piece(arguments=json.dumps('{"command": "a"}'))), OK, asked=ONE),
    row("arguments null", calls(piece(arguments=None)), OK, asked=("call run_command {}", "tool ran run_command {}")),
    row("arguments empty", calls(piece(arguments="")), OK, asked=("call run_command {}", "tool ran run_command {}")),
    row("arguments left out", calls(piece(arguments=...)), OK, asked=("call run_command {}", "tool ran run_command {}")),
    row("arguments an empty list", calls(piece(arguments=[])), OK, asked=("call run_command {}", "tool ran run_command {}")),
    row("arguments that begin with an empty object", calls(piece(arguments={}), piece(call_id=..., name=..., arguments='{"command": "a"}')), OK, asked=ONE),
    row("arguments after an empty object", calls(piece(arguments="{}"), piece(call_id=..., name=..., arguments='{"command": "a"}')), OK, asked=ONE),
    row("arguments twice", calls(piece(arguments='{"command": "a"}{"command": "a"}')), OK, asked=ONE),
    row("arguments in a fence", calls(piece(arguments='```json\n{"command": "a"}\n```')), OK, asked=ONE),
    row("arguments between single quotes", calls(piece(arguments="{'command': 'a'}")), OK, asked=ONE),
    row("arguments with a comma too many", calls(piece(arguments='{"command": "a",}')), OK, asked=ONE),
    row("arguments that are Python's None", calls(piece(arguments="None")), OK, asked=("call run_command {}", "tool ran run_command {}")),
    row("arguments that no JSON can hold", calls(piece(arguments="{'command': {1, 2}}")), OK, asked=("call run_command {}", "tool broken run_command: the arguments are not valid JSON")),
    *[row(f"arguments that Python reads as another text: {text}", calls(piece(arguments=text)), OK,
          asked=("call run_command {}", "tool broken run_command: the arguments are not valid JSON"))
      for text in ('{"command": "rm "" x"}', r'{"command": "sed s/\(a\)/\1/"}', r'{"command": "\ud83d\ude00",}')],
    row("arguments as the one item of a list", calls(piece(arguments='[{"command": "a"}]')), OK, asked=ONE),
    *[row(f"a name with more around it: {name}", calls(piece(name=name)), OK, asked=ONE) for name in
      ("functions.run_command:0", "default_api.run_command", "default_api:run_command", "tool.run_command")],
    row("a function that is null at first", stream({"tool_calls": [{"index": 0, "id": "x", "type": "function", "function": None}]}, {"tool_calls": [piece(call_id=...)]},
                                                   finish="tool_calls"), OK, asked=ONE),
    row("arguments and other arguments", calls(piece(arguments='{"command": "a"}{"command": "b"}')), OK,
        asked=("call run_command {}", "tool broken run_command: the arguments are not valid JSON")),
    row("no number and no id, names before arguments", calls(piece(..., ..., arguments=...), piece(..., ..., ..., '{"command": "a"}'), piece(..., ..., arguments=...),
                                                             piece(..., ..., ..., ARGS_B)), OK, asked=TWO),
    row("a name with what harmony puts around it", calls(piece(name="functions.run_command<|channel|>commentary")), OK, asked=ONE),
    row("arguments broken", calls(piece(arguments='{"command": "a')), OK, asked=("call run_command {}", "tool broken run_command: the arguments are not valid JSON")),
    row("two calls of Ollama's in one message", lines({"tool_calls": [{"function": {"name": "run_command", "arguments": {"command": "a"}}},
                                                                     {"function": {"name": "run_command", "arguments": {"command": "b"}}}]}), lines("ok"),
        api="ollama", asked=TWO),
    row("two calls of Ollama's in two messages", lines({"tool_calls": [{"id": "x", "function": {"index": 0, "name": "run_command", "arguments": {"command": "a"}}}]},
                                                       {"tool_calls": [{"id": "y", "function": {"index": 1, "name": "run_command", "arguments": {"command": "b"}}}]}), lines("ok"),
        api="ollama", asked=TWO),
    row("two calls in a whole answer", whole(None, "tool_calls", tool_calls=[piece(..., "x"), piece(..., "y", arguments=ARGS_B)]), OK, asked=TWO),
    row("a call without a function around it", calls({"name": "run_command", "arguments": {"command": "a"}}), OK, asked=ONE),
    row("a call that is not a list", stream({"tool_calls": piece()}), OK, asked=ONE),
    row("the function_call of old", stream({"function_call": {"name": "run_command", "arguments": '{"command"'}}, {"function_call": {"arguments": ': "a"}'}}), OK, asked=ONE),
    row("a call with the reason stop", calls(piece(), finish="stop"), OK, asked=ONE),
    row("a call with words before it", stream("Let me look.", {"tool_calls": [piece()]}), OK, asked=("say Let me look.", A, RAN_A)),
    row("a call that the limit has cut", calls(piece(arguments='{"command": "a'), finish="length"), OK,
        asked=("call run_command {}", "tool broken run_command: the call was cut off")),
    row("a call that the limit has cut before its arguments", calls(piece(arguments=""), finish="length"), OK,
        asked=("call run_command {}", "tool broken run_command: the call was cut off")),
    row("a call that was cut to {} each time", *[calls(piece(arguments="{}"), finish="length")] * 2, error="tool call is longer than an answer",
        asked=("call run_command {}", "tool broken run_command: the call was cut off")),
    row("a call that the limit cuts each time", *[calls(piece(arguments='{"command": "a'), finish="length")] * 2,
        error="tool call is longer than an answer of it can be; raise llm.max_tokens",
        asked=("call run_command {}", "tool broken run_command: the call was cut off")),
    row("a thought in its own field, with a call", stream({"reasoning_content": "hm, "}, {"reasoning_content": "ls"}, {"tool_calls": [piece()]}), OK, asked=ONE,
        sent=('"reasoning_content": "hm, ls"',)),
    row("Ollama's thought with a call", lines({"thinking": "hm"}, {"tool_calls": [{"function": {"name": "run_command", "arguments": {"command": "a"}}}]}), lines("ok"),
        api="ollama", asked=ONE, sent=('"thinking": "hm"',)),
    row("one thought under two names", stream({"reasoning": "hm", "reasoning_content": "hm"}, {"tool_calls": [piece()]}), OK, asked=ONE,
        sent=('"reasoning_content": "hm"',), unsent=('"reasoning": "hm"', "hmhm")),
    row("a thought without a call does not go back", stream({"reasoning_content": "secret"}, "hello"), unsent=("secret",)),
    row("a thought that the server does not take back", stream({"reasoning_content": "secret"}, {"tool_calls": [piece()]}),
        failed(400, {"error": {"message": "'messages.4' : property 'reasoning_content' is unsupported, did you mean 'role'?"}}), OK, asked=ONE, unsent=("secret",)),
    row("what is sealed beside a call goes back with it (Gemini)", calls({**piece(), "extra_content": {"google": {"thought_signature": "AbC="}}}, piece(1, "c2", arguments=ARGS_B)), OK,
        asked=TWO, sent=('"extra_content": {"google": {"thought_signature": "AbC="}}',)),
    row("a thought in sealed parts goes back with its calls (OpenRouter)", stream(
        {"reasoning": "h", "reasoning_details": [{"type": "reasoning.text", "text": "h", "index": 0, "format": "x"}]},
        {"reasoning": "m", "reasoning_details": [{"type": "reasoning.text", "text": "m", "index": 0, "signature": "S"}]},
        {"reasoning_details": [{"type": "reasoning.encrypted", "data": "AbC=", "index": 0}, 7]}, {"tool_calls": [piece()], "reasoning_details": None}), OK, asked=ONE,
        sent=('"reasoning_details": [{"type": "reasoning.text", "text": "hm", "index": 0, "format": "x", "signature": "S"}, {"type": "reasoning.encrypted", "data": "AbC=", "index": 0}]',)),
    row("calls that are all numbered 0, with an empty id (Gemini)", calls(piece(0, ""), piece(0, "", arguments=ARGS_B), together=True), OK, asked=TWO),
    row("tools that are called for ever", *[calls(piece())] * 4, error="gave up after 3 tool calls without an answer$", asked=(*ONE, *ONE, *ONE), sent=('"tools"',)),
    row("too many calls at once", calls(*[piece(number, f"c{number}") for number in range(33)]), error="more than 32 tools at once"),
    row("a call whose arguments do not end", calls(*[piece(arguments="[" * 50000)] * 9), error="tool calls were longer than"),
    row("a call without a name", calls(piece(name=..., arguments="{}")), error="tool call without a name"),
    row("a number in place of a call", stream({"tool_calls": [7]}), error="tool call without a function"),
    row("a call of a tool that was not offered", calls(piece(name="rm_rf", arguments="{}")), OK, asked=("call rm_rf {}", "tool ran rm_rf {}")),
    row("a call where no tools were offered", calls(piece()), tools=False, error="gave up after 0 tool calls"),
]

TEXT_CALLS = [
    text_call("bare JSON", TEXT_CALL),
    text_call("bare JSON with parameters", TEXT_CALL.replace("arguments", "parameters")),
    text_call("bare JSON of OpenAI's shape", '{"type": "function", "function": ' + TEXT_CALL + "}"),
    text_call("a list", f"[{TEXT_CALL}, {SECOND}]", TWO),
    text_call("one a line", f"{TEXT_CALL}\n{SECOND}", TWO),
    text_call("with a semicolon between (Llama)", f"{TEXT_CALL}; {SECOND}", TWO),
    text_call("an object of calls", '{"tool_calls": [' + TEXT_CALL + "]}"),
    text_call("the name as the key", '{"run_command": {"command": "a"}}'),
    text_call("fenced", f"```json\n{TEXT_CALL}\n```"),
    text_call("fenced as a call", f"```tool_call\n{TEXT_CALL}\n```"),
    text_call("between tags (Qwen, Hermes)", f"<tool_call>\n{TEXT_CALL}\n</tool_call>"),
    text_call("two between tags", f"<tool_call>\n{TEXT_CALL}\n</tool_call>\n<tool_call>\n{SECOND}\n</tool_call>", TWO),
    text_call("a tag that is not closed", f"<tool_call>\n{TEXT_CALL}"),
    text_call("after a thought", f"<think>hm</think>\n\n<tool_call>{TEXT_CALL}</tool_call>"),
    text_call("Mistral's mark", f"[TOOL_CALLS][{TEXT_CALL}, {SECOND}]", TWO),
    text_call("Mistral's newer mark", '[TOOL_CALLS]run_command[ARGS]{"command": "a"}[TOOL_CALLS]run_command[ARGS]{"command": "b"}', TWO),
    text_call("Llama's mark", f"<|python_tag|>{TEXT_CALL}<|eom_id|>"),
    text_call("Granite's mark", f"<|tool_call|>[{TEXT_CALL}]"),
    text_call("Qwen-coder's elements", "<tool_call>\n<function=run_command>\n<parameter=command>\na\n</parameter>\n</function>\n</tool_call>"),
    text_call("Llama's elements", '<function=run_command>{"command": "a"}</function>'),
    text_call("MiniMax's elements", '<minimax:tool_call>\n<invoke name="run_command">\n<parameter name="command">a</parameter>\n</invoke>\n</minimax:tool_call>'),
    text_call("GLM's pairs", "<tool_call>run_command\n<arg_key>command</arg_key>\n<arg_value>a</arg_value>\n</tool_call>"),
    text_call("Kimi's sections", "<|tool_calls_section_begin|><|tool_call_begin|>functions.run_command:0<|tool_call_argument_begin|>"
              '{"command": "a"}<|tool_call_end|><|tool_calls_section_end|>'),
    text_call("DeepSeek's sections", '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>run_command\n```json\n{"command": "a"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>'),
    text_call("harmony's channel", '<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>commentary to=functions.run_command '
              '<|constrain|>json<|message|>{"command": "a"}<|call|>'),
    text_call("harmony's channel without its marks", 'analysisWe need to look.assistantcommentary to=functions.run_command json{"command": "a"}'),
    text_call("harmony's channel without its marks, after a thought about the final answer",
              'analysisA final look first.assistantcommentary to=functions.run_command json{"command": "a"}'),
    text_call("harmony's channel, its beginning cut off", 'analysis<|message|>hm<|end|><|start|>assistant<|channel|>commentary to=functions.run_command <|constrain|>json<|message|>{"command": "a"}'),
    text_call("as Python, one a line (Olmo)", '<function_calls>\nrun_command(command="a")\nrun_command(command="b")\n</function_calls>', TWO),
    text_call("as Python, fenced between marks (MiniCPM)", '<|thought_start|>hm<|thought_end|>\n<|tool_call_start|>\n```python\nrun_command(command="a")\n```\n<|tool_call_end|>'),
    text_call("as Python, fenced, before the turn's end (Gemma)", '```tool_code\nrun_command(command="a")\n```<end_of_turn>'),
    text_call("the name in the tag", '<tool_call name="run_command">{"command": "a"}</tool_call>'),
    text_call("the name in the tag (Grok)", '<xai:function_call name="run_command">\n<parameter name="command">a</parameter>\n</xai:function_call>'),
    text_call("a number in the tag", f'<tool_call id="1">{TEXT_CALL}</tool_call>'),
    text_call("as an action and its input (ReAct)", 'Action: run_command\nAction Input: {"command": "a"}'),
    text_call("as an action and its input after a thought, with output made up (ReAct)",
              'Thought: I have to look.\nAction: run_command\nAction Input: {"command": "a"}\nObservation: done\nThought: fine'),
    text_call("two actions (ReAct)", 'Action: run_command\nAction Input: {"command": "a"}\n\nAction: run_command\nAction Input: {"command": "b"}', TWO),
    text_call("an action of JSON (Command-R)", 'Action: ```json\n[\n    {\n        "tool_name": "run_command",\n        "parameters": {"command": "a"}\n    }\n]\n```'),
    text_call("an action of JSON after a plan (Command-R)", 'Plan: I will look.\nAction: ```json\n[{"tool_name": "run_command", "parameters": {"command": "a"}}]\n```'),
    text_call("after three arrows (Functionary)", '>>>run_command\n{"command": "a"}'),
    text_call("two after three arrows (Functionary)", '>>>run_command\n{"command": "a"}\n>>>run_command\n{"command": "b"}', TWO),
    text_call("the name as a tag (Cline)", "<run_command>\n<command>a</command>\n</run_command>"),
    text_call("the name as a tag, twice", "<run_command><command>a</command></run_command>\n\n<run_command><command>b</command></run_command>", TWO),
    text_call("uses of tools", '{"tool_uses": [{"recipient_name": "functions.run_command", "parameters": {"command": "a"}}, '
              '{"recipient_name": "functions.run_command", "parameters": {"command": "b"}}]}', TWO),
    text_call("as Python (Llama)", '[run_command(command="a"), run_command(command="b")]', TWO),
    text_call("as Python, fenced (Gemma)", '```tool_code\nrun_command(command="a")\n```'),
    text_call("as Python (Llama 4)", '<|python_start|>[run_command(command="a")]<|python_end|>'),
    text_call("as Python, marked (LFM)", '<|tool_call_start|>[run_command(command="a"), run_command("b")]<|tool_call_end|>', TWO),
    text_call("as Python, with an object", 'run_command({"command": "a"})'),
    text_call("as Python, printed (Gemma)", '```tool_code\nprint(default_api.run_command(command="a"))\n```'),
    text_call("as Python, of a built-in tool (Llama)", '<|python_tag|>run_command.call(command="a")'),
    text_call("Gemma's notation", '<|tool_call>call:run_command{command:<|"|>a<|"|>}<tool_call|>'),
    text_call("Apertus's mark", '<|tools_prefix|>[{"run_command": {"command": "a"}}]<|tools_suffix|>'),
    text_call("Gemma's notation for functions", '<start_function_call>call:run_command{command:<escape>a<escape>}<end_function_call>'),
    text_call("name and arguments in elements", '<tool_call><function_name>run_command</function_name><arguments>{"command": "a"}</arguments></tool_call>'),
    text_call("name and arguments in elements, a line each",
              '<tool_call>\n<name>run_command</name>\n<arguments>{"command": "a"}</arguments>\n</tool_call>'),
    text_call("Solar's marks", '<|tool_call:begin|>1<|tool_call:name|>run_command<|tool_call:args|>{"command": "a"}<|tool_call:end|>'),
    text_call("flowers (Qwen-Agent)", '✿FUNCTION✿: run_command\n✿ARGS✿: {"command": "a"}\n✿RESULT✿: all done'),
    text_call("parameters that do not end (Qwen-coder)", "<tool_call>\n<function=run_command>\n<parameter=command>\na\n</function>\n</tool_call>"),
    text_call("before the turn's end (EXAONE)", f"<tool_call>{TEXT_CALL}</tool_call>[|endofturn|]"),
    text_call("a name and an object before the turn's end (GLM)", 'run_command\n{"command": "a"}<|observation|>'),
    text_call("LongCat's tags", f"<longcat_tool_call>\n{TEXT_CALL}\n</longcat_tool_call>"),
    text_call("DeepSeek's newer elements", '<｜DSML｜function_calls>\n<｜DSML｜invoke name="run_command">\n<｜DSML｜parameter name="command" string="true">a'
              "</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜function_calls>"),
    text_call("Step's elements", '<｜tool_calls_begin｜><｜tool_call_begin｜>function<｜tool_sep｜><steptml:invoke name="run_command"><steptml:parameter name="command">a'
              "</steptml:parameter></steptml:invoke><｜tool_call_end｜><｜tool_calls_end｜>"),
    text_call("between weak tags", f"<tools>\n{TEXT_CALL}\n</tools>"),
    text_call("after a word (Phi)", f"functools[{TEXT_CALL}]"),
    text_call("the name before the arguments", 'run_command\n{"command": "a"}'),
    text_call("Mistral's without its mark", 'run_command[ARGS]{"command": "a"}'),
    text_call("an action with its input", '{"action": "run_command", "action_input": {"command": "a"}}'),
    text_call("single quotes", "<tool_call>\n{'name': 'run_command', 'arguments': {'command': 'a'}}\n</tool_call>"),
    text_call("arguments between single quotes (Glaive)", """<functioncall> {"name": "run_command", "arguments": '{"command": "a"}'}"""),
    text_call("a comma too many", '{"name": "run_command", "arguments": {"command": "a",}}'),
    text_call("with an output that the model made up", f"<tool_call>{TEXT_CALL}</tool_call>\n<tool_response>\nall done\n</tool_response>"),
    text_call("whose argument names the mark of an output", '<tool_call>{"name": "run_command", "arguments": {"command": "a <tool_response> b"}}</tool_call>\n<tool_response>\nall done',
              ('call run_command {"command": "a <tool_response> b"}', 'tool ran run_command {"command": "a <tool_response> b"}')),
    text_call("as Python, with an output that the model made up", '<|python_tag|>run_command.call(command="a")<tool_response>all done</tool_response>'),
    text_call("as Python, without the argument's name (Gemma)", '```tool_code\nrun_command("a")\n```'),
    text_call("as Python in brackets, without the argument's name", '[run_command("a")]'),
    text_call("a number for a number", "<tool_call>\n<function=run_command>\n<parameter=command>\n5\n</parameter>\n<parameter=timeout>\n7\n</parameter>\n</function>\n</tool_call>",
              ('call run_command {"command": "5", "timeout": 7}', 'tool ran run_command {"command": "5", "timeout": 7}')),
    text_call("of a tool that there is not", '<tool_call>{"name": "fly", "arguments": {}}</tool_call>', ("call fly {}", "tool ran fly {}")),
    text_call("that cannot be read", '<tool_call>{"name": "run_command", "arguments": {"command": a}}</tool_call>',
              ("call run_command {}", "tool broken run_command: the arguments are not valid JSON")),
    text_call("whose quotes end its text", '<tool_call>{"name": "run_command", "arguments": {"command": "rm "" x"}}</tool_call>',
              ("call run_command {}", "tool broken run_command: the arguments are not valid JSON")),
    text_call("as Python, whose quotes end its text", '<tool_call>run_command(command="rm "" x")</tool_call>',
              ("call unreadable {}", "tool broken unreadable: the arguments are not valid JSON")),
    row("a written call that the limit has cut", stream('<tool_call>{"name": "run_command", "arguments": {"comm', finish="length"), OK,
        asked=("call run_command {}", "tool broken run_command: the call was cut off")),
    row("a written call beside the same real one", stream(f"<tool_call>{TEXT_CALL}</tool_call>", {"tool_calls": [piece()]}), OK, asked=ONE),
    row("a written call of Ollama's", lines(f"<tool_call>{TEXT_CALL}</tool_call>"), lines("ok"), api="ollama", asked=ONE),
    row("written calls for ever", *[stream(f"<tool_call>{TEXT_CALL}</tool_call>")] * 4, error="gave up after 3 tool calls without an answer$", asked=(*ONE, *ONE, *ONE)),
    row("a marked call where no tools were offered is never said", stream(f"<tool_call>{TEXT_CALL}</tool_call>"), tools=False, error="gave up after 0 tool calls"),
    row("JSON that is an answer", stream('{"name": "Alice", "age": 30}'), said='{"name": "Alice", "age": 30}'),
    row("JSON of no tool that was offered", stream(TEXT_CALL), tools=False, said=TEXT_CALL),
    row("JSON that tells of a tool", stream('{"name": "run_command", "about": {"command": "a"}}'), said='{"name": "run_command", "about": {"command": "a"}}'),
    *(row(f"no call: {habit}", stream(text), said=text) for habit, text in (
        ("an action of no tool", 'Action: dance\nAction Input: {"command": "a"}'),
        ("an action that is talked about", 'Action: run_command\nAction Input: {"command": "a"}\nThat is how it is written.'),
        ("a thought alone", "Thought: that is all.\nAction: none"),
        ("arrows of a shell", ">>> print(1)"),
        ("arrows before what is no tool", '>>>dance {"command": "a"}'),
        ("a tag of no tool", "<dance><command>a</command></dance>"),
        ("a tag of a tool around text", "<run_command>a</run_command>"),
        ("a tag of a tool with an argument that it has not", "<run_command><dance>a</dance></run_command>"),
        ("a tag of a tool in an answer", "Write <run_command><command>a</command></run_command> for it."),
        ("uses of no tool", '{"tool_uses": [{"recipient_name": "functions.dance", "parameters": {}}]}'),
    )),
    row("a call of calls", Reply(data(delta(tool_calls=[piece(name="multi_tool_use.parallel", arguments=json.dumps({"tool_uses": [
        {"recipient_name": "functions.run_command", "parameters": {"command": each}} for each in "ab"]}))]), delta(finish="tool_calls"))),
        OK, asked=TWO, requests=2),
    row("words that keep the connection alive", Reply(data("ping", delta("hel"), "keep-alive", delta("lo"), delta(finish="stop")))),
    row("words instead of an answer", Reply(data("no model is loaded", done=False)), error="no model is loaded"),
    row("words in an answer that is cut off", Reply(data(delta("hel"), "going down", done=False)), error="cut its answer off"),
    row("a call that is quoted in an answer", stream(f"Write it so: <tool_call>{TEXT_CALL}</tool_call>"), said=f"Write it so: <tool_call>{TEXT_CALL}</tool_call>"),
    row("a call in code in an answer", stream(f"For example:\n```json\n{TEXT_CALL}\n```"), said=f"For example:\n```json\n{TEXT_CALL}\n```"),
    row("a call with an explanation after it", stream(f"<tool_call>{TEXT_CALL}</tool_call> is how it looks."), said=f"<tool_call>{TEXT_CALL}</tool_call> is how it looks."),
    row("two fences", stream(f"```json\n{TEXT_CALL}\n```\nor\n```json\n{SECOND}\n```"), said=f"```json\n{TEXT_CALL}\n```\nor\n```json\n{SECOND}\n```"),
    row("lines of Python that are an answer", stream('import os\nrun_command(command="a")'), said='import os\nrun_command(command="a")'),
    row("Python that is an answer", stream('```python\nrun_command(command="a")\n```'), said='```python\nrun_command(command="a")\n```'),
    row("Python that is an answer, whose fence does not end", stream('```python\nrun_command(command="a")'), said='```python\nrun_command(command="a")'),
    row("Python of an object that is no tool's", stream('notes.run_command("a")'), said='notes.run_command("a")'),
    row("Python in brackets of an object that is no tool's", stream('[notes.run_command(command="a")]'), said='[notes.run_command(command="a")]'),
    row("Python whose argument has no name", stream('run_command("a")'), said='run_command("a")'),
    row("printed Python whose argument has no name", stream('print(run_command("a"))'), said='print(run_command("a"))'),
    row("Python of no tool that was offered", stream('print("hello")'), said='print("hello")'),
    row("elements that are an answer", stream("<tools><tool>saw</tool></tools>"), said="<tools><tool>saw</tool></tools>"),
    row("a name and an object that are an answer", stream('body {"margin": 0}'), said='body {"margin": 0}'),
    row("braces that are an answer", stream("{{'a': 1}: [}"), said="{{'a': 1}: [}"),
    row("a list that is an answer", stream("[1, 2, 3]"), said="[1, 2, 3]"),
    row("a link that is an answer", stream("[see here](http://x)"), said="[see here](http://x)"),
]

THOUGHTS = [
    thought("think", "<think>hm</think>The answer."),
    thought("in pieces", "<think>\nhm\n</think>\n\nThe answer."),
    thought("thinking", "<thinking>hm</thinking>The answer."),
    thought("thought", "<thought>hm</thought>The answer."),
    thought("reasoning", "<reasoning>hm</reasoning>The answer."),
    thought("Seed's", "<seed:think>hm</seed:think>The answer."),
    thought("MiniMax's", "<mm:think>hm</mm:think>The answer."),
    thought("Mistral's", "[THINK]hm[/THINK]The answer."),
    thought("harmony's", "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>The answer.<|return|>"),
    thought("harmony's without its marks", "analysisThe user asks.assistantfinalThe answer."),
    thought("harmony's without its marks, about its final answer", "analysisThe final answer is a sentence.assistantfinalThe answer."),
    thought("Command's", "<|START_THINKING|>hm<|END_THINKING|><|START_RESPONSE|>The answer.<|END_RESPONSE|>"),
    thought("GLM's and others', between bars", "<|think|>hm<|/think|>The answer."),
    thought("harmony's, its beginning cut off", "analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>The answer."),
    thought("none in harmony's message without a channel", "<|start|>assistant<|message|>The answer.<|end|>"),
    thought("MiniCPM's", "<|thought_start|>hm<|thought_end|>\nThe answer."),
    thought("Apriel's words", "Here are my reasoning steps:\nhm\n[BEGIN FINAL RESPONSE]\nThe answer.\n[END FINAL RESPONSE]"),
    thought("before an answer in a box (GLM)", "<think>hm</think><|begin_of_box|>The answer.<|end_of_box|>"),
    thought("before an answer that ends in a box (GLM)", "<think>hm</think>The <|begin_of_box|>answer.<|end_of_box|>"),
    thought("before an answer with a box between tags (GLM)", "<think>hm</think><answer>The <|begin_of_box|>answer<|end_of_box|>.</answer>"),
    thought("Granite's words", "Here is my thought process: hm\nHere is my response: The answer."),
    thought("before an answer between tags", "<think>hm</think>\n<answer>\nThe answer.\n</answer>"),
    thought("within a thought", "<think>hm <think>hm</think> hm</think>The answer."),
    thought("two, one after the other", "<think>hm</think>\n<think>hm</think>\nThe answer."),
    thought("with its end tag in code", "<think>It ends with `</think>`, hm.</think>The answer."),
    thought("after a byte order mark", "\ufeff<THINK>hm</THINK>The answer."),
    thought("opened by the template", "hm, hm.\n</think>\n\nThe answer."),
    thought("opened by the template, nothing between", "I should say it.</think>The answer."),
    row("a thought in a field", stream({"reasoning_content": "hm"}, "hello")),
    row("a thought in another field", stream({"reasoning": "hm"}, "hello")),
    row("Ollama's field", lines({"thinking": "hm"}, "hello"), api="ollama"),
    row("Granite's words in an answer", stream("Here is my thought process: first 1.\nThen 2."), said="Here is my thought process: first 1.\nThen 2."),
    *[row(f"harmony's marks in an answer: {text}", stream(text), said=text) for text in
      ("Send `<|start|>assistant<|message|>hi<|end|>`.", "final is a channel, and <|message|> follows it.")],
    row("a tag in an answer", stream("Put <think> before and </think> after it."), said="Put <think> before and </think> after it."),
    row("an end tag in a sentence", stream("The tag </think> ends a thought."), said="The tag </think> ends a thought."),
    row("an end tag in code", stream("Use `</think>`\n"), said="Use `</think>`"),
    row("a tag at the end of an answer", stream("Close it with <think></think>"), said="Close it with <think></think>"),
    row("an answer between tags, without a thought", stream("<answer>yes</answer>"), said="<answer>yes</answer>"),
    row("a thought that does not end", stream("<think>hm, hm"), error="empty answer"),
    row("nothing but a thought", stream("<think>hm</think>"), error="empty answer"),
    row("a thought that used up the answer", stream("<think>hm", finish="length"), error="used up its answer in a thought; raise llm.max_tokens"),
    row("a thought in a field that used it up", stream({"reasoning_content": "hm"}, finish="length"), error="used up its answer in a thought"),
    row("no room for an answer", stream("", finish="length"), error="no room left for an answer"),
    row("an answer that was cut", stream("hello there", finish="length"), said="hello there […]"),
    row("thinking is switched off", stream("hello"), llm={"think": False}, sent=('"enable_thinking": false', '"reasoning_effort": "none"')),
    row("thinking is switched on", stream("hello"), llm={"think": True}, sent=('"enable_thinking": true',), unsent=("reasoning_effort",)),
    row("thinking is left as it is", stream("hello"), unsent=("enable_thinking", "reasoning_effort")),
    row("Ollama's thinking is switched off", lines("hello"), api="ollama", llm={"think": False}, sent=('"think": false',)),
]

ROWS = FRAMES + ERRORS + CONTEXTS + CALLS + TEXT_CALLS + THOUGHTS

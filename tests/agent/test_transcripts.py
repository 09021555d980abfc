"""The transcripts of `transcripts`: over a socket in every framing of HTTP, and with the bytes cut anywhere, which is also
what fuzzes the reader."""

from __future__ import annotations

import contextlib
import json
import random
import socket
import threading
import time
import unittest
from typing import Any, Dict, Iterator, List
from unittest import mock

import transcripts
from harness import FolderTest, make_config
from transcripts import Reply, Row, stream
from bot.base.cancel import Cancel
from bot.llm.answers import LONGEST_ANSWER, MOST_TOOL_CALLS, read_answer
from bot.llm.client import Client, LlmError
from bot.llm.conversation import Said, ToolCall
from bot.llm.ollama import OllamaClient
from bot.llm.openai_api import OpenAiClient
from bot.llm.refusals import Kind, read_refusal, refusal_of_body, words_of
from bot.llm.transport import Exchange
from bot.llm.values import values_of
from bot.questions.turns import Result, Turn, run_turn
from bot.tools.audit import Audit
from bot.tools.memory import Memory
from bot.tools.toolbox import ToolBox

FRAMINGS = ("length", "chunks", "closing")


class Server:
    """Sends each request the next reply, in one of HTTP's framings. The last one is sent again and again."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.replies: List[Reply] = []
        self.framing = "length"
        self.before = b""
        self.requests: List[Dict[str, Any]] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(10)

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self._socket.accept()
            except OSError:
                return
            with sock, sock.makefile("rb") as reader:
                length = 0
                for line in iter(reader.readline, b"\r\n"):
                    name, _, value = line.partition(b":")
                    length = int(value) if name.lower() == b"content-length" else length
                self.requests.append(json.loads(reader.read(length)))
                try:
                    sock.sendall(self.before + self._framed(self.replies[min(len(self.requests), len(self.replies)) - 1]))
                    if self.framing == "open":
                        # Says nothing more, and waits until the client goes.
                        sock.recv(1)
                except OSError:
                    pass

    def _framed(self, reply: Reply) -> bytes:
        head = [f"HTTP/1.1 {reply.status} Status", f"Content-Type: {reply.kind}", *reply.headers]
        body = reply.body
        if self.framing == "length":
            head.append(f"Content-Length: {len(body)}")
        elif self.framing == "chunks":
            head.append("Transfer-Encoding: chunked")
            cuts = [body[start : start + 100] for start in range(0, len(body), 100)]
            body = b"".join(f"{len(cut):x}\r\n".encode() + cut + b"\r\n" for cut in [*cuts, b""])
        return "\r\n".join([*head, "", ""]).encode() + body


def shown(request: Dict[str, Any]) -> List[str]:
    """What a request holds after the question, a line for each thing."""
    seen: List[str] = []
    for message in request["messages"]:
        if message["role"] == "tool":
            seen.append("tool " + message["content"].split("\n")[1])
        elif message.get("tool_calls"):
            seen += [f"say {message['content']}"] * bool(message["content"])
            functions = [call["function"] for call in message["tool_calls"]]
            given = [item["arguments"] if isinstance(item["arguments"], str) else json.dumps(item["arguments"]) for item in functions]
            seen.append("call " + "; ".join(f"{item['name']} {arguments}" for item, arguments in zip(functions, given)))
    return seen


def pretend(box: ToolBox, call: ToolCall, cancel: Cancel, **about: str) -> str:
    return f"broken {call.name}: {call.broken}" if call.broken else f"ran {call.name} {json.dumps(dict(call.arguments))}"


class Playing(FolderTest):
    def setUp(self) -> None:
        super().setUp()
        self.cancel = Cancel()
        self.addCleanup(self.cancel.__exit__)
        self.memory = Memory(self.folder)
        self.memory.prepare()
        patch = mock.patch.object(ToolBox, "call", pretend)
        patch.start()
        self.addCleanup(patch.stop)

    def play(self, row: Row, url: str = "http://127.0.0.1:9", times: int = 1) -> Result:
        timeouts = {"connect_s": 5, "first_token_s": 5, "idle_s": 5, "total_s": 20, **row.llm.get("timeouts", {})}
        config = make_config(workspace=self.folder, tools={"enabled": row.tools, "steps": 3},
                             llm={"url": url, "api": row.api, **row.llm, "timeouts": timeouts})
        client: Client = OllamaClient(config.llm) if row.api == "ollama" else OpenAiClient(config.llm)
        # Long enough that something can be left out where the context turns out to be small.
        said = [Said("user", "[irc q]\n" + "<bob> long ago\n" * 400 + "[/irc q]"), Said("assistant", "well"), Said("user", "[irc q]\n<alice> what?\n[/irc q]")]
        turn = Turn(config, "worker", "alice", "#agents", said, row.tools, "q", "t1")
        with mock.patch("bot.llm.client._LOADING_WAIT_S", 0.6 if "never is" in row.habit else 0.01):
            for _ in range(times - 1):
                run_turn(turn, client, self.memory, Audit(self.folder), self.cancel)
            return run_turn(turn, client, self.memory, Audit(self.folder), self.cancel)

    def check(self, row: Row, result: Result, requests: List[Dict[str, Any]]) -> None:
        self.assertEqual(result.error == "", row.error == "", f"{row.habit}: {result}")
        if row.error:
            self.assertRegex(result.error, row.error, row.habit)
            self.assertNotIn("\n", result.error)
            self.assertNotRegex(result.error.lower(), "bad file descriptor|internal error")
        elif row.said:
            self.assertEqual(result.text, row.said, row.habit)
        else:
            self.assertIn(result.text, ("hello", "ok"), row.habit)
        self.assertEqual(len(requests), row.requests, row.habit)
        last = json.dumps(requests[-1], ensure_ascii=False)
        seen = shown(requests[-1])
        self.assertEqual(len(seen), len(row.asked), (row.habit, seen))
        for line, expected in zip(seen, row.asked):
            self.assertTrue(line.startswith(expected), (row.habit, line))
        for text in row.sent:
            self.assertIn(text, last, row.habit)
        for text in row.unsent:
            self.assertNotIn(text, last, row.habit)
        for request in requests:
            self.check_request(row, request)

    def check_request(self, row: Row, request: Dict[str, Any]) -> None:
        """What every request must be, for every server."""
        messages = request["messages"]
        roles = [message["role"] for message in messages if message["role"] != "system"]
        self.assertEqual(roles[0], "user", row.habit)
        self.assertFalse(any(one == two != "tool" for one, two in zip(roles, roles[1:])), (row.habit, roles))
        asked = [call["id"] for message in messages for call in message.get("tool_calls", [])]
        self.assertEqual(asked, [message["tool_call_id"] for message in messages if message["role"] == "tool"], row.habit)
        self.assertEqual(len(set(asked)), len(asked), row.habit)
        for identity in asked:
            self.assertRegex(identity, "^[A-Za-z0-9]{9}$", row.habit)


class OverASocket(Playing):
    def setUp(self) -> None:
        super().setUp()
        self.server = Server()
        self.addCleanup(self.server.close)

    def all_rows(self, rows: List[Row]) -> None:
        for row in rows:
            for framing in FRAMINGS:
                with self.subTest(habit=row.habit, framing=framing):
                    self.server.replies, self.server.framing = list(row.replies), framing
                    self.server.requests.clear()
                    self.check(row, self.play(row, self.server.url), self.server.requests)

    def test_frames_and_ends(self) -> None:
        self.all_rows(transcripts.FRAMES + transcripts.PACKED)

    def test_a_context_that_was_found_small_stays_so_for_the_next_question(self) -> None:
        row = transcripts.CONTEXTS[0]
        self.server.replies = list(row.replies)
        self.assertEqual(self.play(row, self.server.url, times=2).text, "hello")
        self.assertEqual(len(self.server.requests), 3)
        self.assertLessEqual(sum(len(message["content"].encode()) for message in self.server.requests[-1]["messages"]), 2048 * 3)

    def test_a_busy_server_is_asked_again_when_it_says_but_within_a_quarter_of_a_minute(self) -> None:
        waited: List[float] = []
        for said, expected in (("7", 7.0), ("3600", 15.0), ("-1", 0.0), ("Thu, 01 Jan 2037 00:00:00 GMT", 2.0)):
            self.server.replies = [transcripts.failed(429, {"error": "slow down"}, transcripts.JSON, f"Retry-After: {said}"), transcripts.stream("hello")]
            self.server.requests.clear()
            with mock.patch.object(Cancel, "wait", lambda cancel, seconds: waited.append(seconds)):
                self.assertEqual(self.play(transcripts.row("busy", *self.server.replies), self.server.url).text, "hello")
            self.assertEqual(waited.pop(), expected)

    def test_a_busy_server_can_say_in_words_when_to_ask_again(self) -> None:
        waited: List[float] = []
        for error in ({"message": "Quota exceeded.", "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7s"}]},
                      {"message": "Rate limit reached for model `x`. Please try again in 7.0s."}):
            self.server.replies = [transcripts.failed(429, {"error": error}), transcripts.stream("hello")]
            self.server.requests.clear()
            with mock.patch.object(Cancel, "wait", lambda cancel, seconds: waited.append(seconds)):
                self.assertEqual(self.play(transcripts.row("busy", *self.server.replies), self.server.url).text, "hello")
            self.assertEqual(waited.pop(), 7.0)

    def test_errors(self) -> None:
        self.all_rows(transcripts.ERRORS)

    def test_contexts_that_are_too_small(self) -> None:
        self.all_rows(transcripts.CONTEXTS)

    def test_calls(self) -> None:
        self.all_rows(transcripts.CALLS)

    def test_calls_written_as_text(self) -> None:
        self.all_rows(transcripts.TEXT_CALLS)

    def test_thoughts(self) -> None:
        self.all_rows(transcripts.THOUGHTS)

    def test_what_a_server_counts_decides_how_much_it_is_sent_next(self) -> None:
        for api, counted in (("openai", transcripts.Reply(transcripts.data(transcripts.delta("ok", "stop"), {"choices": [], "usage": {"prompt_tokens": 12000}}))),
                             ("openai", transcripts.Reply(transcripts.data(transcripts.delta("ok", "stop"), {"choices": [], "timings": {"prompt_n": 2000, "cache_n": 10000}}))),
                             ("ollama", transcripts.lines("ok", prompt_eval_count=12000))):
            self.server.replies = [counted, transcripts.OK if api == "openai" else transcripts.lines("ok")]
            self.server.requests.clear()
            row = transcripts.row("counts", *self.server.replies, api=api, llm={"num_ctx": 8192})
            self.play(row, self.server.url, times=2)
            first, second = (len(json.dumps(request["messages"])) for request in self.server.requests)
            self.assertLess(second, first * 2 // 3, api)

    def test_what_is_complete_does_not_wait_for_an_end_that_never_comes(self) -> None:
        self.server.framing = "open"
        for reply in (transcripts.stream("hello", done=False), Reply(transcripts.whole("hello").body + b"\n", transcripts.JSON)):
            self.server.replies = [reply]
            self.server.requests.clear()
            with mock.patch("bot.llm.transport._LINGER_S", 0.1):
                began = time.monotonic()
                self.check(transcripts.row("open", reply), self.play(transcripts.row("open", reply), self.server.url), self.server.requests)
                self.assertLess(time.monotonic() - began, 4.0)

    def test_answers_that_only_say_that_an_answer_will_come_are_skipped(self) -> None:
        interim = (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 102 Processing\r\nDate: today\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        for framing in FRAMINGS:
            for times, error in ((1, ""), (30, ""), (60, "does not speak HTTP")):
                with self.subTest(framing=framing, times=times):
                    self.server.framing, self.server.before = framing, b"".join(interim) * times
                    self.server.replies = [stream("hello")]
                    self.server.requests.clear()
                    row = transcripts.row("interim answers", *self.server.replies, error=error)
                    self.check(row, self.play(row, self.server.url), self.server.requests)

    def test_of_an_error_that_does_not_end_the_beginning_is_enough(self) -> None:
        self.server.framing = "open"
        self.server.replies = [transcripts.failed(500, "out of memory " * 6000, "text/plain")]
        row = transcripts.row("open", *self.server.replies, llm={"timeouts": {"first_token_s": 20, "idle_s": 20, "total_s": 20}}, error="status 500: out of memory out of memory")
        began = time.monotonic()
        self.check(row, self.play(row, self.server.url), self.server.requests)
        self.assertLess(time.monotonic() - began, 15.0)

    def test_every_habit_is_there_once(self) -> None:
        habits = [row.habit for row in transcripts.ROWS + transcripts.PACKED]
        self.assertEqual(len(set(habits)), len(habits))


class Cut(Playing):
    """The same rows without a socket, their bytes in pieces of any size."""

    rng = random.Random(16)

    def pieces(self, body: bytes) -> Iterator[bytes]:
        """From single bytes to everything at once."""
        longest = self.rng.choice((1, 2, 5, 30, len(body) or 1))
        start = 0
        while start < len(body):
            size = self.rng.randint(1, longest)
            yield body[start : start + size]
            start += size

    def play_cut(self, row: Row) -> None:
        requests: List[Dict[str, Any]] = []
        test = self

        class CutExchange(Exchange):
            def __init__(self, llm: Any, path: str, payload: Any, cancel: Cancel) -> None:
                super().__init__(llm, path, payload, cancel)
                requests.append(json.loads(json.dumps(payload)))
                self._reply = row.replies[min(len(requests), len(row.replies)) - 1]
                self.status = self._reply.status

            def __enter__(self) -> "CutExchange":
                return self

            def __exit__(self, *_: object) -> None:
                pass

            def chunks(self) -> Iterator[bytes]:
                return test.pieces(self._reply.body)

            def raise_for_status(self) -> None:
                self._response = mock.Mock()
                super().raise_for_status()

            def retry_after(self) -> float:
                return 0.0

        with mock.patch("bot.llm.client.Exchange", CutExchange):
            self.check(row, self.play(row), requests)

    def test_every_row_is_understood_wherever_its_bytes_are_cut(self) -> None:
        for row in transcripts.ROWS:
            big = sum(len(reply.body) for reply in row.replies) > 20000
            for _ in range(1 if big or "never is" in row.habit else 12):
                self.play_cut(row)


class Hostile(unittest.TestCase):
    known = {"run_command": {"command": "string", "timeout": "integer"}}

    def test_a_line_or_a_value_without_end_is_given_up(self) -> None:
        for piece, why in ((b"x" * 65536, "a line without end"), (b'"a": 1,\n' * 8192, "a value without end")):
            taken: List[bytes] = [b"data: {"]

            def endless() -> Iterator[bytes]:
                while len(taken) < 300:
                    yield taken[-1]
                    taken.append(piece)

            with self.assertRaisesRegex(LlmError, why):
                read_answer(endless(), self.known, lambda: "call00001")
            self.assertLess(len(taken), 100)

    def test_a_line_end_that_is_cut_in_two_is_one(self) -> None:
        body = b'event: error\r\ndata: {"message": "boom"}\r\n\r\n'
        for cut in range(len(body) + 1):
            self.assertEqual(list(values_of([body[:cut], body[cut:]])), [{"error": {"message": "boom"}}], cut)

    def test_numbers_that_cannot_be_of_tokens_are_not_taken_for_them(self) -> None:
        for context, sent, expected in (("999999999", "999999999", (999999999, 0)), ("2048", "3000", (2048, 3000)), ("2048", "99999999999", (2048, 0)),
                                        ("9999999999", "99999999999", (0, 0)), ("1" * 5000, "1" * 4000, (0, 0))):
            refusal = read_refusal(400, {"error": {"message": "the request exceeds the available context size", "n_prompt_tokens": int(sent[:4000]), "n_ctx": context}})
            self.assertEqual((refusal.kind, refusal.context_tokens, refusal.prompt_tokens), (Kind.CONTEXT, *expected), (context[:20], sent[:20]))

    def test_what_a_server_counts_is_believed_if_it_can_be_true(self) -> None:
        for counted, believed in ((9, 9), ((1 << 31) - 1, (1 << 31) - 1), (1 << 31, 0), (10**30, 0), (0, 0), (-9, 0), (True, 0), ("9", 0), (9.5, 0), (None, 0)):
            body = transcripts.data(transcripts.delta("hello", "stop"), {"choices": [], "usage": {"prompt_tokens": counted}})
            self.assertEqual(read_answer([body], self.known, lambda: "call00001").prompt_tokens, believed, counted)

    def read(self, body: bytes) -> None:
        """An answer, or an error that is fit to be said; nothing else ever."""
        try:
            answer = read_answer([body], self.known, lambda: "call00001")
        except LlmError as error:
            self.assertNotIn("\n", str(error))
            self.assertLess(len(str(error)), 400)
        else:
            self.assertLessEqual(len(answer.calls), MOST_TOOL_CALLS)
        refusal_of_body(500, body.decode("utf-8", "replace"))

    def test_every_beginning_of_every_transcript_is_an_answer_or_an_error(self) -> None:
        for row in transcripts.ROWS:
            for reply in row.replies[:1]:
                step = max(1, len(reply.body) // 60)
                for end in range(0, len(reply.body), step):
                    self.read(reply.body[:end])

    def test_no_transcript_with_other_bytes_in_it_does_harm(self) -> None:
        rng = random.Random(17)
        atoms = [b"", b"{", b"}", b"[", b"]", b'"', b"\\", b"\n", b"\r", b"\n\n", b"null", b"data: ", b"error: ", b"[DONE]", b"\xff", b"\xef\xbb\xbf", b"7", b",",
                 b"<tool_call>", b"</think>", b"<think>", b"<function=x>", b"```", b"<|channel|>", b"[TOOL_CALLS]", b"(", b"\\ud83d"]
        rows = [row for row in transcripts.ROWS if len(row.replies[0].body) < 4000]
        for _ in range(6000):
            body = bytearray(rng.choice(rows).replies[0].body)
            for _ in range(rng.randint(1, 4)):
                start = rng.randrange(len(body) + 1)
                body[start : start + rng.choice((0, 0, 1, 3, 20))] = rng.choice(atoms)
            self.read(bytes(body))

    def test_what_would_take_long_to_read_does_not(self) -> None:
        for text in ("[" * 200000, '{"a":' * 50000, "<think>" * 30000, "</think>" * 30000, "<tool_call>" * 20000, "`" * 100000, '<tool_call>{"name"' * 10000,
                     "run_command(" * 1000, "[run_command(" + "(" * 5000, "<|channel|>" * 20000, "analysis" * 20000 + "assistantfinal", "x<parameter=" * 10000,
                     "<arg_key>" * 10000, "<tool_call>x " * 5000, "```json\n" * 10000, "\\" * 100000, "functions." * 10000, "<function=a>" * 5000, "a " * 150000,
                     "<function=a><parameter=b>" * 8000, "<tool_call>x <arg_key>a</arg_key><arg_value>" * 8000, "<invoke name=" * 20000, "x" + "\n" * 20000 + "y",
                     "x[CALL_ID]y" + "\n" * 20000 + "y", "```" + " " * 20000 + "y", "```" + "\n" * 20000 + "y", "```" + "a" * 20000, "maximum context " + "1" * 20000,
                     "Plan:\n" * 17000, "Thought: x\n" * 10000 + "Action:", "Action: a\n" * 10000, ">>>" * 30000, "<run_command>" * 8000,
                     "<run_command>" + "<command>a</command>" * 5000):
            for content in (text, "<tool_call>" + text, "<think>" + text, "hm " + text):
                whole = json.dumps({"message": {"content": content}, "done": True}).encode()
                began = time.thread_time()
                self.read(whole)
                # Of the processor's time, so that a busy machine does not fail the test.
                self.assertLess(time.thread_time() - began, 3.0, content[:40])

    def test_a_limit_holds_for_calls_and_their_arguments_in_both_protocols(self) -> None:
        def call(number: int, arguments: Any) -> Dict[str, Any]:
            return transcripts.piece(number, f"c{number}", arguments=arguments)

        def body(count: int, arguments: Any, api: str) -> bytes:
            pieces = [call(number, arguments) for number in range(count)]
            return transcripts.calls(*pieces).body if api == "openai" else transcripts.lines({"tool_calls": pieces}).body

        for api in ("openai", "ollama"):
            for arguments in ("{}", {"command": "a"}):
                answer = read_answer([body(MOST_TOOL_CALLS, arguments, api)], self.known, lambda: "call00001")
                self.assertEqual(len(answer.calls), MOST_TOOL_CALLS)
                with self.assertRaisesRegex(LlmError, f"more than {MOST_TOOL_CALLS} tools at once"):
                    read_answer([body(MOST_TOOL_CALLS + 1, arguments, api)], self.known, lambda: "call00001")
            for long in ("x" * (LONGEST_ANSWER + 1), {"command": "x" * (LONGEST_ANSWER + 1)}):
                with self.assertRaisesRegex(LlmError, "tool calls were longer than"):
                    read_answer([body(1, long, api)], self.known, lambda: "call00001")
        text = "\n".join([transcripts.TEXT_CALL] * (MOST_TOOL_CALLS + 1))
        with self.assertRaisesRegex(LlmError, f"more than {MOST_TOOL_CALLS} tools at once"):
            read_answer([transcripts.stream(text).body], self.known, lambda: "call00001")

    def test_of_an_error_without_end_only_a_beginning_is_read(self) -> None:
        taken: List[int] = []

        def endless() -> Iterator[bytes]:
            while len(taken) < 1000:
                taken.append(1)
                yield b"out of memory " * 100

        with Cancel() as cancel:
            exchange = Exchange(make_config().llm, "/", {}, cancel)
            exchange.status, exchange._response = 500, mock.Mock()
            with mock.patch.object(exchange, "chunks", endless), self.assertRaisesRegex(LlmError, "out of memory"):
                exchange.raise_for_status()
        self.assertLess(len(taken), 100)

    def test_an_endless_answer_is_stopped_where_it_stands(self) -> None:
        taken: List[int] = []

        def endless() -> Iterator[bytes]:
            while True:
                taken.append(1)
                yield transcripts.data(transcripts.delta("again " * 1000), done=False)

        answer = read_answer(endless(), {}, lambda: "call00001")
        self.assertTrue(answer.truncated)
        self.assertLess(len(taken), LONGEST_ANSWER // 6000 + 3)

    def test_whatever_an_answer_consists_of_counts(self) -> None:
        piece = "again " * 1000
        details = {"type": "reasoning.text", "index": 0}

        def call(**more: Any) -> Dict[str, Any]:
            return {"tool_calls": [{"index": 0, "id": "one", "function": {"name": "run", **more.pop("function", {})}, **more}]}

        kinds: Dict[str, Dict[str, Any]] = {
            "text": {"content": piece},
            "a list of parts": {"content": [{"type": "text", "text": piece}]},
            "a thought among parts": {"content": [{"type": "thinking", "thinking": piece}]},
            "a refusal": {"refusal": piece},
            "a thought": {"reasoning_content": piece},
            "the details of a thought": {"reasoning_details": [{**details, "text": piece}]},
            "what is not text in the details": {"reasoning_details": [{**details, "data": [piece]}]},
            "arguments": call(function={"arguments": piece}),
            "arguments as an object": call(function={"arguments": {"command": piece}}),
            "what a server wants back with a call": call(extra_content={"signature": piece}),
        }
        for kind, message in kinds.items():
            with self.subTest(kind):
                taken: List[int] = []

                def endless() -> Iterator[bytes]:
                    while len(taken) < 1000:
                        taken.append(1)
                        yield transcripts.data(transcripts.delta(**message), done=False)

                with contextlib.suppress(LlmError):
                    read_answer(endless(), {}, lambda: "call00001")
                self.assertLess(len(taken), LONGEST_ANSWER // len(piece) + 3)

    def test_of_an_error_the_first_words_are_said_however_they_are_wrapped(self) -> None:
        self.assertEqual(words_of([{"message": str(number)} for number in range(9)]), "0; 1; 2; 3; 4")
        self.assertEqual(len(words_of({"error": "x" * 10_000})), len(words_of("x" * 10_000)))
        self.assertLess(len(words_of("x" * 10_000)), 300)

        def wrapped(times: int) -> Any:
            value: Any = "too deep"
            for number in range(times):
                value = [value] if number % 2 else {"error": value}
            return value

        self.assertEqual(words_of(wrapped(8)), "too deep")
        for times in (9, 500):
            self.assertNotIn("too deep", words_of(wrapped(times)))
        wordless: tuple[object, ...] = (None, True, False, {}, [], "", {"error": None}, [[], {}])
        for each in wordless:
            self.assertEqual(words_of(each), "")
        self.assertEqual(words_of({"error": 503}), "503")

    def test_values_and_lines_without_end_are_given_up(self) -> None:
        def endless(begin: bytes, more: bytes) -> Iterator[bytes]:
            yield begin
            while True:
                yield more

        for begin, more in ((b'{"a": "', b"x" * 65536), (b'data: {"a": [\n', b"data: 1,\n" * 9000), (b'{"a": [\n', b"1,\n" * 20000)):
            with self.assertRaisesRegex(LlmError, "without end"):
                read_answer(endless(begin, more), {}, lambda: "call00001")


if __name__ == "__main__":
    unittest.main()

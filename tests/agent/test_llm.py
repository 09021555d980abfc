"""Both LLM protocols against a server that follows a script, and that misbehaves in every way there is."""

import json
import os
import socket
import threading
import time
import unittest
from typing import Any, Callable, Dict, List, Optional, Tuple
from unittest import mock

from harness import make_config
from scripted_llm import ScriptedLlm
from bot.base.cancel import Cancel, Cancelled
from bot.llm.answers import read_answer
from bot.llm.arguments import read_arguments
from bot.llm.client import Answer, Client, LlmError, Said, ToolCall
from bot.llm.ollama import OllamaClient
from bot.llm.openai_api import OpenAiClient
from bot.llm.thoughts import split_thoughts

_TOOLS = [{"type": "function", "function": {"name": "run_command", "parameters": {"type": "object", "properties": {}}}}]
_QUESTION = [Said("system", "be brief"), Said("user", "hello")]


class LlmTest(unittest.TestCase):
    """Every test runs against both protocols."""

    def setUp(self) -> None:
        self.cancel = Cancel()
        self.addCleanup(self.cancel.__exit__)
        self.llm = ScriptedLlm()
        self.addCleanup(self.llm.close)

    def client(self, api: str, url: str = "", **changes: Any) -> Client:
        timeouts = {"connect_s": 2, "first_token_s": 5, "idle_s": 5, "total_s": 20, **changes.pop("timeouts", {})}
        llm = make_config(llm={"api": api, "url": url or self.llm.url, "timeouts": timeouts, **changes}).llm
        return OllamaClient(llm) if api == "ollama" else OpenAiClient(llm)

    def ask(self, reply: Dict[str, Any], api: str, tools: Any = (), **changes: Any) -> Answer:
        self.llm.rules({"reply": reply})
        return self.client(api, **changes).chat(_QUESTION, tools, self.cancel)

    def error(self, reply: Dict[str, Any], api: str, **changes: Any) -> str:
        with self.assertRaises(LlmError) as caught:
            self.ask(reply, api, **changes)
        text = str(caught.exception)
        self.assertNotIn("\n", text)
        self.assertLess(len(text), 300)
        return text

    def both(self, check: Callable[[str], None]) -> None:
        for api in ("ollama", "openai"):
            with self.subTest(api=api):
                check(api)


class Answering(LlmTest):
    def test_a_streamed_answer_is_put_together(self) -> None:
        text = "Hello wörld, 漢字 and 😀 in many pieces. " * 5
        self.both(lambda api: self.assertEqual(self.ask({"content": text}, api), Answer(text.strip())))

    def test_thoughts_at_the_beginning_or_in_their_own_field_are_not_said(self) -> None:
        reply = {"thinking": "hmm, let me see", "content": "<think>first I\nthought</think>The answer <Think>no wait</THINK>is 4."}
        self.both(lambda api: self.assertEqual(self.ask(reply, api).content, "The answer <Think>no wait</THINK>is 4."))

    def test_tool_calls_arrive_whole(self) -> None:
        arguments = {"command": "echo \"quoted\" 'and' ünïcode", "n": 3, "deep": {"list": [1, None, True]}}
        reply = {"content": "Let me look.", "calls": [{"name": "run_command", "arguments": arguments}, {"name": "other", "arguments": {}}]}

        def check(api: str) -> None:
            answer = self.ask(reply, api, tools=_TOOLS)
            self.assertEqual(answer.content, "Let me look.")
            self.assertEqual([(call.name, call.arguments, call.broken) for call in answer.calls],
                             [("run_command", arguments, ""), ("other", {}, "")])
            self.assertEqual(len({call.id for call in answer.calls}), 2)

        self.both(check)

    def test_broken_arguments_are_no_error_of_the_turn(self) -> None:
        def check(api: str) -> None:
            call = self.ask({"calls": [{"name": "run_command", "arguments": '{"command": "ls'}]}, api, tools=_TOOLS).calls[0]
            self.assertEqual(call.arguments, {})
            self.assertIn("not valid JSON", call.broken)

        self.both(check)

    def test_an_answer_that_ran_out_of_tokens_says_so(self) -> None:
        self.both(lambda api: self.assertTrue(self.ask({"content": "half", "done_reason": "length"}, api).truncated))

    def test_an_endless_answer_is_stopped(self) -> None:
        def check(api: str) -> None:
            answer = self.ask({"content": "again and again " * 200000}, api)
            self.assertTrue(answer.truncated)
            self.assertLess(len(answer.content), 5_000_000)

        self.both(check)

    def test_what_is_sent_is_what_the_server_expects(self) -> None:
        said = [Said("system", "s"), Said("user", "u"),
                Said("assistant", "", (ToolCall("run_command", {"command": "ls"}, "c1"), ToolCall("run_command", {}, "c2", "broken"))),
                Said("tool", "files", tool_name="run_command", tool_call_id="c1"), Said("tool", "error", tool_name="run_command", tool_call_id="c2")]
        self.llm.rules({"reply": {"content": "ok"}})
        extra: Dict[str, Any] = {"temperature": 0.5, "max_tokens": 99, "api_key": "sk-key"}
        self.client("ollama", num_ctx=8192, keep_alive="10m", think=False, **extra).chat(said, _TOOLS, self.cancel)
        self.client("openai", **extra).chat(said, _TOOLS, self.cancel)
        ollama, openai = self.llm.requests
        self.assertEqual(ollama["body"]["options"], {"temperature": 0.5, "num_ctx": 8192, "num_predict": 99})
        self.assertEqual((ollama["body"]["keep_alive"], ollama["body"]["think"], ollama["body"]["stream"]), ("10m", False, True))
        self.assertEqual(ollama["body"]["messages"][2]["tool_calls"][0]["function"], {"name": "run_command", "arguments": {"command": "ls"}})
        self.assertEqual(ollama["body"]["messages"][3], {"role": "tool", "content": "files", "tool_name": "run_command", "tool_call_id": "c1"})
        self.assertEqual((openai["body"]["temperature"], openai["body"]["max_tokens"]), (0.5, 99))
        # Broken arguments go back as an empty object: the server parses them again.
        self.assertEqual([call["function"]["arguments"] for call in openai["body"]["messages"][2]["tool_calls"]], ['{"command": "ls"}', "{}"])
        self.assertEqual(openai["body"]["messages"][4], {"role": "tool", "content": "error", "tool_call_id": "c2"})
        for request in (ollama, openai):
            self.assertEqual(request["body"]["tools"], _TOOLS)
            self.assertEqual(request["headers"]["Authorization"], "Bearer sk-key")

    def test_what_is_not_set_is_not_sent(self) -> None:
        def check(api: str) -> None:
            self.ask({"content": "x"}, api)
            request = self.llm.requests[-1]
            extra = {"options"} if api == "ollama" else {"stream_options"}
            self.assertEqual(set(request["body"]), {"model", "messages", "stream"} | extra)
            # Ollama's own default is too small for an agent, so the size of the context is always named.
            self.assertEqual(request["body"].get("options", {"num_ctx": 8192}), {"num_ctx": 8192})
            self.assertNotIn("Authorization", request["headers"])

        self.both(check)

    def test_the_url_may_already_hold_the_version(self) -> None:
        self.llm.rules({"reply": {"content": "x"}})
        for url in (self.llm.url, self.llm.url + "/", self.llm.url + "/v1", self.llm.url + "/v1/"):
            self.assertEqual(self.client("openai", url=url).chat(_QUESTION, (), self.cancel).content, "x")

    def test_nothing_of_a_request_stays_with_the_cancellation_after_it(self) -> None:
        forgotten: List[bool] = []
        with mock.patch.object(Cancel, "on_set", lambda cancel, callback: lambda: forgotten.append(True)):
            self.ask({"content": "x"}, "ollama")
            self.assertEqual(forgotten, [True])
            self.error({"status": 500, "error": "no"}, "ollama")
        self.assertEqual(forgotten, [True, True])

    def test_the_url_may_hold_the_version_in_the_middle_or_another_one(self) -> None:
        for url, path in (("https://g.example/v1beta/openai", "/chat/completions"), ("https://z.example/api/paas/v4/", "/chat/completions"),
                          ("https://v2.example/vast", "/v1/chat/completions"), ("http://v1", "/v1/chat/completions")):
            self.assertEqual(self.client("openai", url=url).path(), path, url)

    def test_a_proxy_of_the_environment_is_ignored(self) -> None:
        os.environ["http_proxy"] = "http://127.0.0.1:9"
        self.addCleanup(os.environ.pop, "http_proxy")
        self.both(lambda api: self.assertEqual(self.ask({"content": "direct"}, api).content, "direct"))

    def test_an_openai_server_that_does_not_stream_is_understood(self) -> None:
        body = {"choices": [{"message": {"role": "assistant", "content": "whole", "tool_calls": [
            {"id": "a", "function": {"name": "f", "arguments": "{\"x\": 1}"}}, {"id": "b", "function": {"name": "g", "arguments": {"y": 2}}}]},
            "finish_reason": "tool_calls"}]}
        answer = self.ask({"garbage": json.dumps(body)}, "openai")
        self.assertEqual((answer.content, [call.arguments for call in answer.calls]), ("whole", [{"x": 1}, {"y": 2}]))

    def test_an_openai_server_that_numbers_every_call_zero_is_understood(self) -> None:
        pieces = [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{\"x\""}}, {"index": 0, "function": {"arguments": ": 1}"}},
                  {"index": 0, "id": "b", "function": {"name": "g", "arguments": "{}"}}]
        events = [{"choices": [{"delta": {"tool_calls": [piece]}}]} for piece in pieces]
        body = "".join(f"data: {json.dumps(event)}\r\n\r\n" for event in events) + "data: [DONE]\n\n"
        calls = self.ask({"garbage": body}, "openai").calls
        self.assertEqual([(call.name, call.arguments, call.id) for call in calls], [("f", {"x": 1}, "call00001"), ("g", {}, "call00002")])

    def test_a_stream_that_ends_without_done_but_with_a_reason_is_whole(self) -> None:
        body = 'data: {"choices": [{"delta": {"content": "all"}, "finish_reason": "stop"}]}\n\n'
        self.assertEqual(self.ask({"garbage": body}, "openai").content, "all")


class Misbehaving(LlmTest):
    def test_a_model_that_is_not_there(self) -> None:
        reply = {"status": 404, "error": "model 'test-model' not found"}
        self.assertIn("get it there with: ollama pull test-model", self.error(reply, "ollama"))
        self.assertIn("does not have the model test-model", self.error(reply, "openai"))

    def test_a_path_that_is_not_there(self) -> None:
        def check(api: str) -> None:
            with self.assertRaisesRegex(LlmError, "404"):
                self.client(api, url=self.llm.url + "/wrong").chat(_QUESTION, (), self.cancel)

        self.both(check)

    def test_a_model_without_tools_is_asked_without_and_remembered(self) -> None:
        for api, message in (("ollama", "registry.ollama.ai/library/x does not support tools"),
                             ("openai", '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set')):
            self.llm.requests.clear()
            self.llm.rules({"when": {"tools": True}, "reply": {"status": 400, "error": message}}, {"reply": {"content": "without"}})
            client = self.client(api)
            for _ in range(2):
                self.assertEqual(client.chat(_QUESTION, _TOOLS, self.cancel).content, "without")
            self.assertEqual([bool(request["body"].get("tools")) for request in self.llm.requests], [True, False, False])

    def test_another_bad_request_is_not_repeated(self) -> None:
        def check(api: str) -> None:
            before = len(self.llm.requests)
            self.assertIn("invalid option num_ctx", self.error({"status": 400, "error": "invalid option num_ctx"}, api, tools=_TOOLS))
            self.assertEqual(len(self.llm.requests), before + 1)

        self.both(check)

    def test_a_busy_server_is_asked_once_more_after_the_time_it_names(self) -> None:
        def check(api: str) -> None:
            self.llm.requests.clear()
            self.llm.rules({"times": 1, "reply": {"status": 503, "error": "queue full", "headers": {"Retry-After": "0.2"}}},
                           {"reply": {"content": "now"}})
            began = time.monotonic()
            self.assertEqual(self.client(api).chat(_QUESTION, (), self.cancel).content, "now")
            self.assertGreaterEqual(time.monotonic() - began, 0.2)
            self.llm.rules({"reply": {"status": 503, "error": "queue full", "headers": {"Retry-After": "0"}}})
            with self.assertRaisesRegex(LlmError, "busy .status 503.; try again later"):
                self.client(api).chat(_QUESTION, (), self.cancel)
            self.assertEqual(len(self.llm.requests), 4)

        self.both(check)

    def test_an_error_in_mid_stream_is_found_under_status_200(self) -> None:
        reply = {"content": "so far so ", "error_midstream": "an error was encountered\nwhile running the model: CUDA"}
        self.both(lambda api: self.assertIn("in mid-answer: an error was encountered while running the model: CUDA", self.error(reply, api)))

    def test_an_answer_that_is_cut_off(self) -> None:
        for pieces in (0, 1, 4):
            reply = {"content": "a long answer that never ends", "cut_after": pieces}
            self.both(lambda api: self.assertRegex(self.error(reply, api), "cut its answer off|broke off the connection"))

    def test_garbage_instead_of_the_protocol(self) -> None:
        for garbage in ("<html>hello</html>", "not json\n", "[1, 2]\n", '"text"\n', "\x00\xff\n", '{"message": 5}\n', '{"message": {"content": 5}}\n',
                        '{"choices": 7}\n', '{"choices": [7]}\n', '{"choices": [{"delta": {"content": 5}}]}\n', '{"message": {"tool_calls": [7]}}\n',
                        '{"message": {"tool_calls": [{"function": {"arguments": {}}}]}}\n', '{"choices": [{"delta": {"tool_calls": [7]}}]}\n', ""):
            for api in ("ollama", "openai"):
                with self.subTest(api=api, garbage=garbage):
                    self.assertRegex(self.error({"garbage": garbage}, api), "not its protocol|cut its answer off|tool call without")

    def test_random_garbage_never_ends_in_anything_but_an_error_in_one_line(self) -> None:
        import random

        rng = random.Random(12)
        atoms: List[Any] = [None, True, 5, "x", "", [], {}, [{}], [None], "[DONE]", {"name": 1}, {"function": None}]
        names = ["message", "content", "tool_calls", "done", "error", "choices", "delta", "function", "arguments", "index", "finish_reason"]

        def tree(depth: int) -> Any:
            if depth == 0 or rng.random() < 0.2:
                return rng.choice(atoms)
            if rng.random() < 0.3:
                return [tree(depth - 1) for _ in range(rng.randrange(3))]
            return {rng.choice(names): tree(depth - 1) for _ in range(rng.randrange(4))}

        for _ in range(4000):
            line = json.dumps(tree(5))
            for api in ("ollama", "openai"):
                try:
                    read_answer([(line if api == "ollama" else f"data: {line}").encode()], {"f": {}}, lambda: "call00001")
                except LlmError as error:
                    self.assertNotIn("\n", str(error))

    def test_something_that_is_no_http(self) -> None:
        self.both(lambda api: self.assertIn("does not speak HTTP", self.error({"raw": "SSH-2.0-OpenSSH\r\n"}, api)))
        self.both(lambda api: self.assertIn("broke off the connection", self.error({"raw": ""}, api)))

    def test_other_statuses_are_shown_with_the_servers_words(self) -> None:
        def check(api: str) -> None:
            self.assertIn("status 500: out of memory", self.error({"status": 500, "error": "out of memory"}, api))
            self.assertIn("refused the API key", self.error({"status": 401, "error": "bad key"}, api))
            for status in (300, 302, 399):
                self.assertIn("redirects to http://elsewhere/", self.error({"status": status, "headers": {"Location": "http://elsewhere/"}}, api))

        self.both(check)

    def test_nobody_listens(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"

        def check(api: str) -> None:
            with self.assertRaisesRegex(LlmError, "cannot reach the LLM server 127.0.0.1:.*: connection refused"):
                self.client(api, url=url).chat(_QUESTION, (), self.cancel)

        self.both(check)

    def test_a_server_without_a_trusted_certificate_is_not_spoken_to(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            def serve() -> None:
                sock, _ = listener.accept()
                sock.recv(4096)
                sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                sock.close()

            thread = threading.Thread(target=serve)
            thread.start()
            with self.assertRaisesRegex(LlmError, "cannot reach the LLM server"):
                self.client("openai", url=f"https://127.0.0.1:{listener.getsockname()[1]}").chat(_QUESTION, (), self.cancel)
            thread.join(5)


class Slow(LlmTest):
    def timed(self, reply: Dict[str, Any], api: str, timeouts: Dict[str, float]) -> str:
        began = time.monotonic()
        text = self.error(reply, api, timeouts=timeouts)
        self.assertLess(time.monotonic() - began, 3.0)
        return text

    def test_a_first_word_that_does_not_come(self) -> None:
        for stage in ("headers", "body"):
            self.both(lambda api: self.assertIn("said nothing within 0.2 s", self.timed({"hang": stage}, api, {"first_token_s": 0.2})))

    def test_silence_in_mid_answer(self) -> None:
        reply = {"content": "I was just about to", "hang": "middle"}
        self.both(lambda api: self.assertIn("went silent for 0.2 s", self.timed(reply, api, {"idle_s": 0.2})))

    def test_drip_by_drip_for_ever(self) -> None:
        replies: Tuple[Dict[str, Any], ...] = ({"content": "drip " * 200, "gap": 0.05}, {"content": "I was just about to", "hang": "middle"})
        for reply in replies:
            self.both(lambda api: self.assertIn("took longer than 0.4 s", self.timed(reply, api, {"idle_s": 5, "total_s": 0.4})))

    def test_a_slow_answer_within_its_time_is_an_answer(self) -> None:
        reply = {"content": "slow but fine", "delay": 0.1, "gap": 0.02}
        self.both(lambda api: self.assertEqual(self.ask(reply, api).content, "slow but fine"))

    def test_cancelling_ends_the_wait_at_once(self) -> None:
        for reply in ({"hang": "headers"}, {"hang": "middle", "content": "abc def"}, {"status": 503, "error": "x", "headers": {"Retry-After": "15"}}):
            with Cancel() as cancel:
                self.llm.rules({"reply": reply})
                before = len(self.llm.requests)
                seen: List[Tuple[Optional[str], float]] = []

                def work() -> None:
                    try:
                        self.client("ollama").chat(_QUESTION, (), cancel)
                    except Cancelled:
                        seen.append(("cancelled", time.monotonic()))

                thread = threading.Thread(target=work)
                thread.start()
                self.llm.wait_for_requests(before + 1)
                began = time.monotonic()
                cancel.set()
                thread.join(5)
                self.assertEqual([what for what, _ in seen], ["cancelled"])
                self.assertLess(seen[0][1] - began, 1.0)

    def test_a_server_that_does_not_notice_is_left_all_the_same(self) -> None:
        """It holds the connection open, whatever we do with our end."""
        beginnings = (b"", b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n\r\n",
                      b'HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n\r\n{"message": {"content": "I was"}}\n')
        for beginning in beginnings:
            for gives_up in ("cancelled", "too late"):
                with self.subTest(beginning=beginning[:60], gives_up=gives_up), socket.create_server(("127.0.0.1", 0)) as server, Cancel() as cancel:
                    timeouts = {"first_token_s": 60, "idle_s": 60, "total_s": 0.3 if gives_up == "too late" else 60}
                    client = self.client("ollama", f"http://127.0.0.1:{server.getsockname()[1]}", timeouts=timeouts)
                    ends: List[str] = []

                    def ask() -> None:
                        try:
                            client.chat(_QUESTION, (), cancel)
                        except Cancelled:
                            ends.append("cancelled")
                        except LlmError as error:
                            ends.append("too late" if "longer than 0.3 s" in str(error) else str(error))

                    thread = threading.Thread(target=ask)
                    thread.start()
                    connection, _ = server.accept()
                    with connection:
                        connection.recv(65536)
                        connection.sendall(beginning)
                        if gives_up == "cancelled":
                            cancel.set()
                        thread.join(5)
                        self.assertEqual(ends, [gives_up])
                    thread.join()


class Thinking(unittest.TestCase):
    def check(self, text: str, answer: str, thought: str) -> None:
        self.assertEqual(split_thoughts(text), (answer, thought), text)

    def test_every_common_bracket_is_known_at_the_beginning(self) -> None:
        for opening, closing in (("<think>", "</think>"), ("<Thinking>", "</THINKING>"), ("<thought>", "</thought>"), ("<reasoning>", "</reasoning>"),
                                 ("<seed:think>", "</seed:think>"), ("<mm:think>", "</mm:think>"), ("[THINK]", "[/THINK]"),
                                 ("◁think▷", "◁/think▷"), ("<|START_THINKING|>", "<|END_THINKING|>"), ("<think time='3'>", "</think >")):
            self.check(f"{opening}a <b> c{closing}The answer.", "The answer.", "a <b> c")
            self.check(f"\n {opening}\na\n{closing}\n\nThe answer.", "The answer.", "a")
            self.check(f"{opening}a{closing}{opening}b{closing}c", "c", "a\nb")
            self.check(f"{opening}I wonder", "", "I wonder")
            self.check(f"The {opening} mark is closed by {closing} again.", f"The {opening} mark is closed by {closing} again.", "")

    def test_harmonys_channels_are_told_apart(self) -> None:
        self.check("<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>4.<|return|>", "4.", "hm")
        self.check("<|channel|>final<|message|>4.", "4.", "")
        self.check("<|start|>assistant<|channel|>analysis<|message|>only this", "", "only this")
        self.check("analysisThe user wants 2+2.assistantfinalIt is 4.", "It is 4.", "The user wants 2+2.")
        self.check("analysis is hard", "analysis is hard", "")

    def test_an_end_without_a_beginning_makes_a_thought_of_all_before(self) -> None:
        for text in ("So the user wants tea.</think>\n\nTea!", "So the user wants tea.\n</think>Tea!", "So the user wants tea.</think>Tea!",
                     "So the user wants tea.[/THINK] Tea!"):
            self.check(text, "Tea!", "So the user wants tea.")

    def test_a_tag_in_an_answer_erases_nothing(self) -> None:
        for text in ("Close it with </think> and continue.", "In HTML `</think>` is not a tag.", "Write it:\n```\n<p>\n</think>\n```\nDone.",
                     'It is called "</think>".', "The answer <think>no wait</think> is 4.", "First.\n<think>second</think>\nThird."):
            self.check(text, text, "")

    def test_arguments_come_as_objects_or_as_text(self) -> None:
        self.assertEqual(read_arguments({"a": 1}), ({"a": 1}, ""))
        self.assertEqual(read_arguments('{"a": 1}'), ({"a": 1}, ""))
        self.assertEqual(read_arguments(""), ({}, ""))
        self.assertEqual(read_arguments(None), ({}, ""))
        for raw in ("[1]", "5", [1], 5, "{", "[" * 100000):
            self.assertTrue(read_arguments(raw)[1])


if __name__ == "__main__":
    unittest.main()

"""One question: model, tools, model again; and every way in which that can end."""

import asyncio
import json
import os
import threading
import unittest
from typing import Any, Dict, List
from unittest import mock

from harness import FolderTest, make_config
from scripted_llm import ScriptedLlm
from bot.base.cancel import Cancel
from bot.llm.conversation import Said
from bot.llm.ollama import OllamaClient
from bot.llm.openai_api import OpenAiClient
from bot.questions.desk import Desk, Question
from bot.questions.turns import Result, Turn, run_turn
from bot.tools.audit import Audit
from bot.tools.memory import Memory


class TurnTest(FolderTest):
    def setUp(self) -> None:
        super().setUp()
        self.llm = ScriptedLlm()
        self.addCleanup(self.llm.close)
        self.cancel = Cancel()
        self.addCleanup(self.cancel.__exit__)

    def turn(self, api: str = "ollama", tools: bool = True, **changes: Any) -> Result:
        config = make_config(workspace=self.folder, llm={"url": self.llm.url, "api": api},
                             tools={"enabled": tools, "steps": 3, **changes.pop("tools_more", {})}, **changes)
        memory = Memory(self.folder)
        memory.prepare()
        client = OllamaClient(config.llm) if api == "ollama" else OpenAiClient(config.llm)
        turn = Turn(config, "worker", "alice", "#agents", [Said("user", "[irc q]\n<alice> how many?\n[/irc q]")], tools, "q", "t1")
        return run_turn(turn, client, memory, Audit(self.folder), self.cancel)

    def sent(self, number: int) -> List[Dict[str, Any]]:
        messages = self.llm.requests[number]["body"]["messages"]
        assert isinstance(messages, list)
        return messages


class Thinking(TurnTest):
    def test_a_round_trip_through_a_real_shell(self) -> None:
        for api in ("ollama", "openai"):
            with self.subTest(api=api):
                self.llm.requests.clear()
                self.llm.rules(
                    {"when": {"role": "user"}, "reply": {"calls": [{"name": "run_command", "arguments": {"command": "echo $((6*7))"}}]}},
                    {"when": {"role": "tool", "text": "exit status 0\n42"}, "reply": {"content": "It is 42."}})
                self.assertEqual(self.turn(api), Result(text="It is 42.", tool_calls=1))
                result = self.sent(1)[-1]
                self.assertEqual((result["role"], result["content"]), ("tool", "[tool q]\nexit status 0\n42\n[/tool q]"))

    def test_broken_arguments_are_told_to_the_model_which_then_does_better(self) -> None:
        for api in ("ollama", "openai"):
            with self.subTest(api=api):
                self.llm.rules(
                    {"when": {"role": "user"}, "reply": {"calls": [{"name": "run_command", "arguments": '{"command": "ec'}]}},
                    {"when": {"role": "tool", "text": "not valid JSON"}, "reply": {"calls": [{"name": "run_command", "arguments": {"command": "echo ok"}}]}},
                    {"when": {"role": "tool", "text": "ok"}, "reply": {"content": "done"}})
                self.assertEqual(self.turn(api), Result(text="done", tool_calls=2))

    def test_memory_is_in_the_prompt_of_the_next_turn(self) -> None:
        self.llm.rules(
            {"when": {"role": "user"}, "times": 1, "reply": {"calls": [{"name": "save_memory", "arguments": {"note": "alice likes tea"}}]}},
            {"reply": {"content": "noted"}})
        self.turn()
        self.turn()
        self.assertNotIn("alice likes tea", self.sent(0)[0]["content"])
        self.assertIn("alice likes tea", self.sent(2)[0]["content"])

    def test_the_steps_are_limited_and_the_tools_stay_in_the_request(self) -> None:
        self.llm.rules({"times": 2, "reply": {"calls": [{"name": "run_command", "arguments": {"command": "echo x >> ran"}}] * 2}},
                       {"reply": {"content": "enough"}})
        self.assertEqual(self.turn(), Result(text="enough", tool_calls=3))
        self.assertEqual(self.read("ran"), "x\n" * 3)
        self.assertIn("no more tool calls", self.sent(2)[-1]["content"])
        self.assertEqual([bool(request["body"].get("tools")) for request in self.llm.requests], [True, True, True])
        self.assertIn("that was the last tool call", self.sent(2)[-2]["content"])

    def test_a_model_that_wants_tools_for_ever_is_given_up(self) -> None:
        self.llm.rules({"reply": {"calls": [{"name": "run_command", "arguments": {"command": "true"}}]}})
        self.assertEqual(self.turn(), Result(error="gave up after 3 tool calls without an answer", tool_calls=3))

    def test_without_tools_none_are_offered_and_none_run(self) -> None:
        self.llm.rules({"reply": {"content": "", "calls": [{"name": "run_command", "arguments": {"command": "touch ran"}}]}})
        self.assertIn("gave up", self.turn(tools=False).error)
        self.assertNotIn("tools", self.llm.requests[0]["body"])
        self.assertFalse(os.path.exists(self.path("ran")))

    def test_a_model_that_has_no_tools_answers_without(self) -> None:
        self.llm.rules({"when": {"tools": True}, "reply": {"status": 400, "error": "x does not support tools"}}, {"reply": {"content": "plain"}})
        self.assertEqual(self.turn(), Result(text="plain"))

    def test_every_failure_is_one_line(self) -> None:
        for reply, expected in (
            ({"status": 500, "error": "boom"}, "the LLM server answered with status 500: boom"),
            ({"content": ""}, "the model gave an empty answer"),
            ({"content": "<think>only thoughts</think>"}, "the model gave an empty answer"),
            ({"content": "abc", "cut_after": 1}, "cut"),
        ):
            self.llm.rules({"reply": reply})
            result = self.turn()
            self.assertIn(expected, result.error)
            self.assertEqual(result.text, "")

    def test_a_failure_after_a_tool_call_still_counts_the_call(self) -> None:
        self.llm.rules({"when": {"role": "user"}, "reply": {"calls": [{"name": "run_command", "arguments": {"command": "true"}}]}},
                       {"reply": {"status": 500, "error": "boom"}})
        self.assertEqual(self.turn().tool_calls, 1)

    def test_an_answer_that_is_too_long_is_marked_as_cut(self) -> None:
        self.llm.rules({"reply": {"content": "word " * 100}})
        self.assertEqual(self.turn(limits={"answer_chars": 499}).text, ("word " * 100).strip())
        text = self.turn(limits={"answer_chars": 50}).text
        self.assertTrue(text.endswith("[…]"))
        self.assertLess(len(text), 60)

    def test_cancelling_a_running_command_ends_the_turn(self) -> None:
        self.llm.rules({"when": {"role": "user"}, "reply": {"calls": [{"name": "run_command", "arguments": {"command": "touch started; sleep 60"}}]}})
        results: List[Result] = []
        thread = threading.Thread(target=lambda: results.append(self.turn()))
        thread.start()
        self.llm.wait_for_requests(1)
        self.cancel.set()
        thread.join(10)
        self.assertEqual([result.cancelled for result in results], [True])

    def test_after_cancelling_no_further_tool_of_the_same_answer_runs(self) -> None:
        self.llm.rules({"reply": {"calls": [{"name": "save_memory", "arguments": {"note": "first"}},
                                            {"name": "write_file", "arguments": {"path": "second", "content": "x"}}]}})

        def save(*_: object) -> str:
            self.cancel.set()
            return "saved"

        with mock.patch.object(Memory, "save", save):
            self.assertTrue(self.turn().cancelled)
        self.assertFalse(os.path.exists(self.path("second")))

    def test_the_audit_log_names_turn_place_and_asker(self) -> None:
        self.llm.rules({"when": {"role": "user"}, "reply": {"calls": [{"name": "run_command", "arguments": {"command": "true"}}]}},
                       {"reply": {"content": "ok"}})
        self.turn()
        entry = json.loads(self.read("audit.log").splitlines()[0])
        self.assertEqual((entry["turn"], entry["place"], entry["asker"]), ("t1", "#agents", "alice"))


class Desks(FolderTest):
    def test_an_answer_that_was_ready_when_all_began_again_is_not_given(self) -> None:
        """It came in the moment before: too late to be cancelled, too early to be said."""
        answered: List[str] = []

        async def play() -> None:
            desk = Desk(make_config(workspace=self.folder), lambda question, result: answered.append(f"{question.key} {result.text}"))

            def ask(key: str) -> None:
                desk.ask(Question(key, key, "alice", False, False, False, list, "q"), "worker")

            with mock.patch("bot.questions.desk.run_turn", lambda *_: Result(text="hello")):
                ask("old")
                desk.join(10)
                desk.start_over(make_config(workspace=self.folder, name="other"))
                ask("new")
                while not answered:
                    await asyncio.sleep(0.01)
                ask("next")
                while len(answered) < 2:
                    await asyncio.sleep(0.01)

        asyncio.run(asyncio.wait_for(play(), 10))
        self.assertEqual(answered, ["new hello", "next hello"])

    def test_who_changes_the_nick_meanwhile_is_answered_under_the_new_one(self) -> None:
        answered: List[Question] = []

        async def play() -> None:
            desk = Desk(make_config(workspace=self.folder), lambda question, _: answered.append(question))
            go = threading.Event()

            def run(*_: object) -> Result:
                go.wait(10)
                return Result(text="hello")

            with mock.patch("bot.questions.desk.run_turn", run):
                for target, asker, private in (("Alice", "Alice", True), ("#a", "ALICE", False), ("#a", "bob", False)):
                    desk.ask(Question(target, target, asker, private, False, False, list, "q"), "worker")
                desk.renamed("alice", "Bea")
                go.set()
                while len(answered) < 3:
                    await asyncio.sleep(0.01)

        asyncio.run(asyncio.wait_for(play(), 10))
        self.assertEqual([(question.target, question.asker) for question in answered], [("Bea", "Bea"), ("#a", "Bea"), ("#a", "bob")])

    def test_a_closed_desk_takes_no_question(self) -> None:
        async def play() -> None:
            desk = Desk(make_config(workspace=self.folder), lambda question, result: None)
            desk.close()
            with mock.patch("bot.questions.desk.run_turn", lambda *_: Result(text="hello")):
                self.assertFalse(desk.ask(Question("#a", "#a", "alice", False, False, False, list, "q"), "worker"))
            self.assertFalse(desk.busy)

        asyncio.run(asyncio.wait_for(play(), 10))


if __name__ == "__main__":
    unittest.main()

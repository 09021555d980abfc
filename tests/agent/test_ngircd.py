"""Agents on a real ngIRCd, as processes of their own, with a human that talks to them."""

import os
import time
import unittest
from typing import Any, List

from harness import FolderTest, settings
import ngircd
from bot_process import BotProcess
from irc_client import Human
from scripted_llm import ScriptedLlm


@unittest.skipIf(ngircd.PATH is None, "ngircd is not installed")
class NgircdTest(FolderTest):
    penalties = False

    def setUp(self) -> None:
        super().setUp()
        self.server = ngircd.Ngircd(self.folder, penalties=self.penalties)
        self.addCleanup(self.server.stop)
        self.llm = ScriptedLlm([{"reply": {"content": "Hello!"}}])
        self.addCleanup(self.llm.close)

    def bot(self, nick: str = "worker", **changes: Any) -> BotProcess:
        limits = {"message_burst": 5, "message_interval_s": 0.1, **changes.pop("limits", {})}
        folder = self.path(nick)
        bot = BotProcess(folder, settings(**{**changes, "name": nick, "server": {"port": self.server.port},
                                             "llm": {"url": self.llm.url, **changes.get("llm", {})}, "limits": limits}))
        bot.__enter__()
        self.addCleanup(bot.__exit__)
        return bot

    def human(self, nick: str = "alice", channel: str = "#agents") -> Human:
        human = Human(self.server.port, nick)
        self.addCleanup(human.__exit__)
        human.join(channel)
        return human

    def with_bots(self, alice: Human, *nicks: str) -> None:
        """Waits until the bots are in #agents."""
        deadline = time.monotonic() + 15
        while not set(nicks) <= set(alice.nicks("#agents")):
            self.assertLess(time.monotonic(), deadline, alice.nicks("#agents"))


class Talking(NgircdTest):
    def test_it_joins_and_answers_in_the_channel_and_in_private(self) -> None:
        alice = self.human()
        self.bot()
        alice.expect("worker!.* JOIN :?#agents")
        alice.say("#agents", "worker: hi")
        self.assertEqual(alice.hears("worker", "#agents", ""), "alice: Hello!")
        alice.say("worker", "hi")
        self.assertEqual(alice.hears("worker", "alice", ""), "Hello!")

    def test_it_is_marked_as_a_bot(self) -> None:
        alice = self.human()
        self.bot()
        self.with_bots(alice, "worker")
        alice.send("WHOIS worker")
        lines = alice.collect(r"\S+ 318 ")
        self.assertTrue(any(" 335 " in line for line in lines), lines)
        self.assertTrue(any(line.endswith(":fireclaw agent worker") for line in lines), lines)

    def test_long_lines_arrive_whole_with_the_prefix_the_server_adds(self) -> None:
        text = " ".join(f"wörd{number}漢" for number in range(300))
        self.llm.rules({"reply": {"content": text}})
        alice = self.human()
        self.bot(limits={"answer_lines": 50})
        self.with_bots(alice, "worker")
        alice.say("#agents", "worker: long please")
        said: List[str] = []
        while not said or not said[-1].endswith("wörd299漢"):
            said.append(alice.hears("worker", "#agents", ""))
        self.assertEqual(" ".join(said), f"alice: {text}")
        raw = [line for line in alice.received if "PRIVMSG #agents :" in line and line.startswith(":worker!")]
        self.assertLessEqual(max(len(line.encode()) + 2 for line in raw), 512)
        self.assertGreater(max(len(line.encode()) + 2 for line in raw), 490)

    def test_it_follows_an_invitation_and_comes_back_there_after_a_restart(self) -> None:
        alice = self.human(channel="#lab")
        alice.join("#agents")
        bot = self.bot()
        self.with_bots(alice, "worker")
        alice.send("INVITE worker #lab")
        alice.expect("worker!.* JOIN :?#lab")
        bot.stop()
        alice.expect("worker!.* QUIT :.*shutting down")
        self.bot()
        alice.expect("worker!.* JOIN :?#lab")
        alice.say("#lab", "worker: leave")
        alice.expect("worker!.* PART #lab")

    def test_memory_survives_a_restart(self) -> None:
        self.llm.rules(
            {"when": {"role": "user", "text": "remember"}, "times": 1,
             "reply": {"calls": [{"name": "save_memory", "arguments": {"note": "the code word is heron"}}]}},
            {"reply": {"content": "ok"}})
        alice = self.human()
        for expected in (False, True):
            bot = self.bot(tools=True)
            self.with_bots(alice, "worker")
            alice.say("#agents", "worker: please remember the code word")
            alice.hears("worker", "#agents", "alice: ok")
            first = next(request for request in reversed(self.llm.requests) if request["body"]["messages"][-1]["role"] == "user")
            self.assertEqual("heron" in first["body"]["messages"][0]["content"], expected)
            bot.stop()
            alice.expect("worker!.* QUIT")

    def test_a_hot_reload_in_mid_conversation(self) -> None:
        alice = self.human()
        bot = self.bot()
        self.with_bots(alice, "worker")
        alice.say("#agents", "worker: one")
        alice.hears("worker", "#agents", "alice: Hello!")
        bot.reload(llm={"model": "phi4-mini"}, trigger="!w")
        alice.hears("worker", "#agents", r"\[reloaded: model=phi4-mini, trigger=!w\]", timeout=2.5)
        alice.say("#agents", "!w two")
        alice.hears("worker", "#agents", "alice: Hello!")
        self.assertEqual(self.llm.requests[-1]["body"]["model"], "phi4-mini")
        self.assertFalse(any(" QUIT " in line or " PART " in line for line in alice.received))


class Surviving(NgircdTest):
    def test_a_nick_in_use_is_regained_when_its_holder_leaves(self) -> None:
        alice = self.human()
        holder = self.human("worker")
        self.bot()
        alice.expect("worker_!.* JOIN :?#agents")
        alice.say("#agents", "worker_: hi")
        alice.hears("worker_", "#agents", "alice: Hello!")
        holder.send("QUIT :bye")
        alice.expect("worker_!.* NICK :?worker")
        alice.say("#agents", "worker: hi")
        alice.hears("worker", "#agents", "alice: Hello!")

    def test_three_agents_come_back_after_the_server_was_restarted(self) -> None:
        alice = self.human()
        names = ("worker", "coder", "quick")
        bots = [self.bot(nick) for nick in names]
        self.with_bots(alice, *names)
        for kill in (False, True):
            alice.__exit__()
            self.server.stop(kill)
            self.server.start()
            alice = self.human()
            self.with_bots(alice, *names)
        for nick in names:
            alice.say(nick, "hi")
            alice.hears(nick, "alice", "Hello!")
        for bot in bots:
            self.assertIsNone(bot.process.poll())
            self.assertGreaterEqual(bot.status()["connections"], 3)

    def test_being_killed_by_an_operator_is_survived(self) -> None:
        alice = self.human()
        self.bot()
        self.with_bots(alice, "worker")
        alice.send("OPER oper secret")
        alice.expect(r"\S+ 381 ")
        alice.send("KILL worker :enough")
        alice.expect("worker!.* QUIT")
        alice.expect("worker!.* JOIN :?#agents")

    def test_two_agents_told_to_chat_stop_by_themselves(self) -> None:
        """Both models answer anything with a question to the other; the bots themselves must come to an end."""
        self.llm.rules({"when": {"model": "m-worker"}, "reply": {"content": "coder: and what do you think?"}},
                       {"when": {"model": "m-coder"}, "reply": {"content": "worker: and what do you think?"}})
        alice = self.human()
        for nick in ("worker", "coder"):
            # No cooldown, so that only the cap can end it.
            self.bot(nick, llm={"model": f"m-{nick}"}, peers={"cooldown_s": 0, "max_turns": 3})
        self.with_bots(alice, "worker", "coder")
        alice.say("#agents", "worker: chat with coder about the weather")
        for _ in range(3):
            alice.hears("worker", "#agents", "coder: and")
            alice.hears("coder", "#agents", "worker: and")
        alice.hears("worker", "#agents", "coder: and")
        count = len(self.llm.wait_for_requests(7))
        # Both still listen to a human, who speaks in private so as not to start them again.
        for nick in ("worker", "coder"):
            alice.say(nick, "still there?")
            alice.hears(nick, "alice", "")
        self.assertEqual(len(self.llm.requests), count + 2)
        self.assertEqual(count, 7)

    def test_two_agents_with_the_usual_cooldown_stop_even_sooner(self) -> None:
        self.llm.rules({"when": {"model": "m-worker"}, "reply": {"content": "coder: well?"}},
                       {"when": {"model": "m-coder"}, "reply": {"content": "worker: well?"}})
        alice = self.human()
        for nick in ("worker", "coder"):
            self.bot(nick, llm={"model": f"m-{nick}"})
        self.with_bots(alice, "worker", "coder")
        alice.say("#agents", "worker: chat with coder")
        alice.hears("worker", "#agents", "coder: well")
        alice.hears("coder", "#agents", "worker: well")
        alice.hears("worker", "#agents", "coder: well")
        for nick in ("worker", "coder"):
            alice.say(nick, "still there?")
            alice.hears(nick, "alice", "")
        self.assertEqual(len(self.llm.requests), 5)

    def test_nothing_is_left_behind(self) -> None:
        bot = self.bot()
        alice = self.human()
        self.with_bots(alice, "worker")
        bot.stop()
        left = sorted(os.listdir(self.path("worker", "workspace")))
        self.assertEqual(left, ["MEMORY.md", "memory"])


class Pacing(NgircdTest):
    penalties = True

    def test_the_server_never_drops_it_for_what_it_says(self) -> None:
        self.llm.rules({"reply": {"content": "\n".join(f"line {number}" for number in range(9))}})
        alice = self.human()
        bot = self.bot(limits={"answer_lines": 9, "message_interval_s": 1.0})
        self.with_bots(alice, "worker")
        alice.say("#agents", "worker: count")
        alice.hears("worker", "#agents", "line 8", timeout=30)
        self.assertEqual(bot.status()["connections"], 1)


if __name__ == "__main__":
    unittest.main()

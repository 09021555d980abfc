"""A whole agent against an IRC server that the test plays and an LLM server that follows a script."""

import json
import os
import re
import socket
import ssl
import threading
import time
import unittest
from typing import Any, Dict, List, Optional, Tuple
from unittest import mock

from harness import FolderTest, RunningAgent, settings
from certificate import make_certificate, server_context
from fake_irc import FakeClient, FakeIrc
from scripted_llm import ScriptedLlm
from bot.base import config

ALICE = ":alice!a@host"


class AgentTest(FolderTest):
    def setUp(self) -> None:
        super().setUp()
        self.irc = FakeIrc()
        self.addCleanup(self.irc.__exit__)
        self.llm = ScriptedLlm([{"reply": {"content": "Hello!"}}])
        self.addCleanup(self.llm.close)

    def settings(self, **changes: Any) -> Dict[str, Any]:
        return settings(**{
            **changes, "server": {"port": self.irc.port, **changes.get("server", {})},
            "llm": {"url": self.llm.url, **changes.get("llm", {})}, "workspace": self.folder,
        })

    def start(self, **changes: Any) -> RunningAgent:
        running = RunningAgent(self.settings(**changes))
        running.__enter__()
        self.addCleanup(running.__exit__)
        return running

    def online(self, **changes: Any) -> FakeClient:
        """An agent that is in #agents, and a human, alice, whom it knows."""
        self.running = self.start(**changes)
        client = self.irc.accept()
        client.welcome()
        client.joined("#agents")
        client.send(f"{ALICE} PRIVMSG worker :help")
        client.whois("alice")
        client.expect("PRIVMSG alice :ask me anything")
        return client

    def ask(self, client: FakeClient, text: str, pattern: str) -> str:
        client.send(f"{ALICE} PRIVMSG #agents :worker: {text}")
        return client.expect(pattern)


class Conversing(AgentTest):
    def test_it_answers_in_a_channel_when_addressed_and_in_private_always(self) -> None:
        client = self.online()
        self.assertEqual(self.ask(client, "hi", "PRIVMSG #agents"), "PRIVMSG #agents :alice: Hello!")
        client.send(f"{ALICE} PRIVMSG worker :hi")
        client.expect("PRIVMSG alice :Hello!$")
        client.send(f"{ALICE} PRIVMSG #agents :nobody in particular", f"{ALICE} NOTICE worker :hi", f"{ALICE} NOTICE #agents :worker: hi")
        client.send(f"{ALICE} PRIVMSG worker :last")
        client.expect_nothing("PRIVMSG #agents|NOTICE", until="PRIVMSG alice :Hello!")

    def test_what_was_said_in_the_channel_is_known_to_the_model(self) -> None:
        client = self.online()
        client.send(":bob!b@h PRIVMSG #agents :the cake is in the kitchen", ":bob!b@h PRIVMSG #agents :\x01ACTION waves\x01")
        self.ask(client, "where is the cake?", "PRIVMSG #agents")
        content = self.llm.requests[-1]["body"]["messages"][-1]["content"]
        self.assertIn("<bob> the cake is in the kitchen\n* bob waves\n<alice> worker: where is the cake?\n[/irc ", content)

    def test_a_private_talk_stays_out_of_the_channel(self) -> None:
        client = self.online()
        client.send(f"{ALICE} PRIVMSG worker :my secret is 1234")
        client.expect("PRIVMSG alice")
        self.ask(client, "hi", "PRIVMSG #agents")
        self.assertNotIn("1234", json.dumps(self.llm.requests[-1]["body"]))

    def test_a_person_who_takes_over_a_nick_does_not_take_over_its_private_talk(self) -> None:
        self.llm.rules({"times": 1, "reply": {"content": "1\n2\n3"}}, {"reply": {"content": "Hello!"}})
        client = self.online(limits={"answer_lines": 1})
        client.send(f"{ALICE} PRIVMSG worker :my secret is 1234")
        client.expect("PRIVMSG alice :1 …")
        client.send(":alice!m@elsewhere PRIVMSG worker :more")
        client.expect("PRIVMSG alice :there is no more")
        client.send(":alice!m@elsewhere PRIVMSG worker :what did I say?")
        client.expect("PRIVMSG alice :Hello!")
        self.assertNotIn("1234", json.dumps(self.llm.requests[-1]["body"]))

    def test_a_crowd_of_strangers_does_not_bury_it_in_look_ups(self) -> None:
        client = self.online()
        for number in range(40):
            client.send(f":s{number}!s@h PRIVMSG worker :hi")
        client.sync()
        client.send(f"{ALICE} PRIVMSG worker :hi")
        client.expect("PRIVMSG alice :Hello!")
        self.assertEqual(sum(line.startswith("WHOIS s") for line in client.received), 8)

    def test_a_trigger_word_and_every_line(self) -> None:
        client = self.online(trigger="!ask")
        client.send(f"{ALICE} PRIVMSG #agents :!ask what?")
        client.expect("PRIVMSG #agents :alice: Hello!")
        self.running.reload(self.settings(trigger="all"))
        client.expect(r"PRIVMSG #agents :\[reloaded: trigger=all\]")
        client.send(f"{ALICE} PRIVMSG #agents :just talking")
        client.expect("PRIVMSG #agents :alice: Hello!")

    def test_a_long_answer_is_held_back_until_somebody_says_more(self) -> None:
        self.llm.rules({"reply": {"content": "\n".join(f"line {number}" for number in range(1, 9))}})
        client = self.online(limits={"answer_lines": 3})
        self.ask(client, "count", r"PRIVMSG #agents :line 3 … \(say \"more\" for the rest\)$")
        self.ask(client, "more", r"PRIVMSG #agents :line 6 …")
        self.ask(client, "more", r"PRIVMSG #agents :line 8$")
        self.ask(client, "more", r"PRIVMSG #agents :alice: there is no more")

    def test_nothing_in_an_answer_becomes_a_command(self) -> None:
        self.llm.rules({"reply": {"content": "ok\r\nQUIT :bye\nJOIN #evil\r\n\x01DCC SEND x\x01\n/part\nPRIVMSG bob :hi"}})
        client = self.online(limits={"answer_lines": 20})
        self.ask(client, "go", "PRIVMSG #agents :PRIVMSG bob :hi")
        client.sync()
        for line in client.received:
            self.assertRegex(line, "^(CAP|NICK worker$|USER|JOIN #agents$|WHOIS alice$|PRIVMSG (#agents|alice) :|PONG)")
            self.assertNotIn("\x01", line)

    def test_a_failure_of_the_model_is_told_in_one_line_and_counted(self) -> None:
        self.llm.rules({"reply": {"status": 404, "error": "model 'test-model' not found"}})
        client = self.online()
        self.assertEqual(
            self.ask(client, "hi", "PRIVMSG #agents"),
            "PRIVMSG #agents :alice: sorry, the LLM server does not have the model test-model; get it there with: ollama pull test-model "
            "(it says: model 'test-model' not found)")
        status = self.running.status()
        self.assertEqual((status["llm_errors"], status["answers"]), (1, 0))
        self.assertIn("ollama pull", status["last_error"])

    def test_an_empty_address_gets_a_short_reply(self) -> None:
        client = self.online()
        self.assertEqual(self.ask(client, "", "PRIVMSG #agents"), "PRIVMSG #agents :alice: yes?")
        self.assertEqual(self.llm.requests, [])

    def test_reset_forgets_the_conversation(self) -> None:
        client = self.online()
        client.send(":bob!b@h PRIVMSG #agents :blue elephants")
        self.ask(client, "reset", "PRIVMSG #agents :alice: forgotten")
        self.ask(client, "hi", "PRIVMSG #agents :alice: Hello!")
        self.assertNotIn("elephants", json.dumps(self.llm.requests[-1]["body"]))

    def test_tools_are_for_those_who_may(self) -> None:
        self.llm.rules({"when": {"tools": True}, "reply": {"content": "with tools"}}, {"reply": {"content": "without"}})
        client = self.online(tools={"enabled": True, "allow": ["alice!*@host"]})
        self.ask(client, "hi", "PRIVMSG #agents :alice: with tools")
        client.send(":alice!a@elsewhere PRIVMSG #agents :worker: hi")
        client.expect("PRIVMSG #agents :alice: without")


class Busy(AgentTest):
    def test_one_request_at_a_time_and_a_bounded_queue_that_says_so(self) -> None:
        self.llm.rules({"reply": {"hang": "body"}})
        client = self.online(limits={"queue": 2})
        for number in range(6):
            client.send(f"{ALICE} PRIVMSG worker :question {number}")
        client.expect("PRIVMSG alice :I am busy with 3 other questions; please ask again later")
        client.sync()
        self.assertEqual(sum("I am busy" in line for line in client.received), 1)
        status = self.running.status()
        self.assertEqual((status["busy"], status["queued"]), (True, 2))
        self.assertEqual(len(self.llm.wait_for_requests(1)), 1)
        # The server answers while the model thinks, and stop gives up what is done and what waits.
        self.llm.rules({"reply": {"content": "free again"}})
        client.send(f"{ALICE} PRIVMSG worker :stop")
        client.expect("PRIVMSG alice :stopped")
        client.send(f"{ALICE} PRIVMSG worker :are you there?")
        client.expect("PRIVMSG alice :free again")
        self.assertEqual(len(self.llm.requests), 2)
        self.assertEqual(self.llm.at_once, 1)

    def test_a_ping_is_answered_while_the_model_thinks_and_a_command_runs(self) -> None:
        self.llm.rules({"when": {"role": "user"}, "reply": {"calls": [{"name": "run_command", "arguments": {"command": "sleep 60"}}]}})
        client = self.online(tools=True)
        client.send(f"{ALICE} PRIVMSG worker :go")
        self.llm.wait_for_requests(1)
        for _ in range(3):
            client.sync()

    def test_a_turn_that_takes_too_long_is_given_up(self) -> None:
        self.llm.rules({"reply": {"hang": "body"}})
        client = self.online(limits={"turn_s": 0.2})
        client.send(f"{ALICE} PRIVMSG worker :go")
        client.expect("PRIVMSG alice :sorry, gave up after 0.2 s")

    def test_somebody_who_asks_too_often_is_told_once(self) -> None:
        client = self.online(limits={"turns_per_minute": 3, "queue": 50})
        for _ in range(20):
            client.send(f"{ALICE} PRIVMSG worker :again")
        client.expect("PRIVMSG alice :that is too many questions; give me a minute")
        client.sync()
        self.assertEqual(sum("too many questions" in line for line in client.received), 1)
        self.assertLessEqual(len(self.llm.requests), 3)


class Refusing(AgentTest):
    def test_of_those_who_were_answered_the_latest_are_known(self) -> None:
        self.online()
        agent = self.running.agent

        def answer_many() -> List[str]:
            for number in range(100):
                agent._spoken(f"#a{number}", f"#a{number}", "alice")
            agent._spoken("#a50", "#A50", "bob")
            return list(agent._answering)

        self.assertEqual(self.running.call(answer_many), [f"#a{number}" for number in range(36, 100) if number != 50] + ["#a50"])

    def test_an_error_is_said_to_each_asker(self) -> None:
        self.llm.rules({"reply": {"status": 500, "error": "out of memory"}})
        client = self.online()
        for nick in ("alice", "bob", "alice"):
            client.send(f":{nick}!a@host PRIVMSG #agents :worker: hi")
            if nick == "bob":
                client.whois("bob")
            client.expect(f"PRIVMSG #agents :{nick}: sorry, the LLM server answered with status 500: out of memory")

    def test_who_is_not_answered_because_the_channel_is_closed_is_told_in_private(self) -> None:
        client = self.online()
        self.ask(client, "hi", "PRIVMSG #agents :alice: Hello!")
        client.send(":irc.test 404 worker #agents :Cannot send to channel (+m)")
        client.expect(r"PRIVMSG alice :cannot speak in #agents: Cannot send to channel \(\+m\)")
        self.assertEqual(self.running.status()["last_error"], "cannot speak in #agents: Cannot send to channel (+m)")

    def test_a_private_answer_that_is_refused_is_not_sent_again(self) -> None:
        client = self.online()
        client.send(":irc.test 531 worker alice :Cannot send to user (+D)", f"{ALICE} PRIVMSG worker :marker")
        client.expect_nothing("PRIVMSG alice :cannot", until="PRIVMSG alice :Hello!")
        self.assertIn("cannot speak in alice", self.running.status()["last_error"])

    def test_who_invited_is_told_why_it_does_not_come(self) -> None:
        client = self.online()
        client.send(f"{ALICE} INVITE worker #lab")
        client.expect("JOIN #lab")
        client.send("FAIL JOIN ACCOUNT_REQUIRED #lab :You must log in first")
        client.expect(r"PRIVMSG alice :cannot join #lab: You must log in first \(ACCOUNT_REQUIRED\)")

    def test_an_answer_to_a_part_of_a_channel_goes_no_further(self) -> None:
        self.running = self.start()
        client = self.irc.accept()
        client.welcome("CASEMAPPING=ascii STATUSMSG=~&@%+ CHANTYPES=#")
        client.joined("#agents")
        client.send(f"{ALICE} PRIVMSG @#agents :worker: the code is 1234")
        client.whois("alice")
        client.expect("PRIVMSG @#agents :alice: Hello!")
        self.ask(client, "hi", "PRIVMSG #agents :alice: Hello!")
        self.assertNotIn("1234", json.dumps(self.llm.requests[-1]["body"]))
        client.send(f"{ALICE} PRIVMSG @#agents :worker: leave")
        client.expect("PART #agents")

    def test_a_smaller_context_than_configured_is_said_in_the_status_and_to_the_asker(self) -> None:
        error = "request (5000 tokens) exceeds the available context size (2048 tokens), try increasing it"
        self.llm.rules({"times": 1, "reply": {"status": 400, "error": error}}, {"reply": {"content": "short"}})
        client = self.online()
        client.send(f"{ALICE} PRIVMSG #agents :" + "long ago " * 40)
        for number in range(20):
            client.send(f"{ALICE} PRIVMSG #agents :{number} " + "long ago " * 40)
        self.ask(client, "hi", "NOTICE alice :the LLM server reads only 2048 tokens, less than the 8192 of llm.num_ctx")
        client.expect("PRIVMSG #agents :alice: short")
        self.assertIn("2048", self.running.status()["last_error"])
        self.assertEqual(len(self.llm.requests), 2)
        self.assertLess(len(json.dumps(self.llm.requests[1]["body"])), len(json.dumps(self.llm.requests[0]["body"])))
        self.ask(client, "again", "PRIVMSG #agents :alice: short")
        self.assertEqual(sum(line.startswith("NOTICE") for line in client.received), 1)


class Loops(AgentTest):
    def talk(self, client: FakeClient, line: str) -> int:
        """A program that nobody knows as one answers everything it is told; how often it was answered."""
        answered = 0
        for turn in range(30):
            client.send(f":eliza!e@h PRIVMSG #agents :worker: {line.format(turn=turn)}")
            if not turn:
                client.whois("eliza", "Eliza")
            said = client.expect("PRIVMSG #agents :eliza: ")
            if "as a program would" in said:
                return answered
            answered += 1
        return answered

    def test_a_program_that_always_answers_at_once_is_left_alone_after_a_few_turns(self) -> None:
        client = self.online(limits={"turns_per_minute": 100})
        self.assertLessEqual(self.talk(client, "tell me more about {turn} words"), 5)
        # Nothing more is said to it, while people are answered.
        client.send(":eliza!e@h PRIVMSG #agents :worker: and then?")
        client.sync()
        self.ask(client, "hi", "PRIVMSG #agents :alice: Hello!")
        self.assertEqual(sum("as a program would" in line for line in client.received), 1)
        client.send(":eliza!e@h PRIVMSG #agents :worker: reset", ":eliza!e@h PRIVMSG #agents :worker: hi")
        client.expect("PRIVMSG #agents :eliza: Hello!")

    def test_a_program_that_always_says_a_command_is_not_answered_for_ever(self) -> None:
        client = self.online()
        for word in ("stop", "reset", "help", "more"):
            nick = f"bot{word}"
            client.send(f":{nick}!b@h PRIVMSG worker :{word}")
            client.whois(nick, "Nobody")
            for _ in range(20):
                client.send(f":{nick}!b@h PRIVMSG worker :{word}")
            client.sync()
            self.assertLessEqual(sum(line.startswith(f"PRIVMSG {nick} ") for line in client.received), 8, word)

    def test_people_who_ask_a_few_times_in_a_row_are_answered(self) -> None:
        client = self.online()
        for number in range(4):
            self.ask(client, f"question {number}", "PRIVMSG #agents :alice: Hello!")


class OtherBots(AgentTest):
    def test_who_takes_over_a_nick_is_looked_up_again(self) -> None:
        client = self.online()
        # alice left unseen; a bot takes her nick.
        client.send(":robot!r@h NICK alice")
        client.send(":alice!r@h PRIVMSG #agents :worker: hi")
        client.whois("alice", bot=True)
        client.expect("PRIVMSG #agents :alice: Hello!")
        client.send(":alice!r@h PRIVMSG #agents :worker: hi again", ":bob!b@h PRIVMSG worker :help")
        client.whois("bob")
        client.expect_nothing("PRIVMSG #agents", until="PRIVMSG bob :ask me anything")

    def test_a_bot_is_answered_when_it_asks_but_not_again_at_once(self) -> None:
        client = self.online()
        client.send(":coder!c@h PRIVMSG #agents :worker: hello")
        client.whois("coder", "fireclaw agent coder")
        client.expect("PRIVMSG #agents :coder: Hello!")
        client.send(":coder!c@h PRIVMSG #agents :worker: thanks", f"{ALICE} PRIVMSG worker :marker")
        client.expect_nothing("PRIVMSG #agents", until="PRIVMSG alice :Hello!")

    def test_the_cooldown_begins_again_when_a_slow_answer_leaves(self) -> None:
        self.llm.rules({"times": 1, "reply": {"content": "slow", "delay": 0.6}}, {"reply": {"content": "Hello!"}})
        client = self.online(peers={"cooldown_s": 0.5, "bots": ["coder"]})
        client.send(":coder!c@h PRIVMSG #agents :worker: 1")
        client.expect("PRIVMSG #agents :coder: slow")
        client.send(":coder!c@h PRIVMSG #agents :worker: 2", f"{ALICE} PRIVMSG worker :marker")
        client.expect_nothing("PRIVMSG #agents", until="PRIVMSG alice :Hello!")

    def test_bots_come_to_an_end_and_a_human_starts_them_again(self) -> None:
        client = self.online(peers={"cooldown_s": 0, "max_turns": 3, "bots": ["coder"]})
        for _ in range(3):
            client.send(":coder!c@h PRIVMSG #agents :worker: and you?")
            client.expect("PRIVMSG #agents :coder: Hello!")
        client.send(":coder!c@h PRIVMSG #agents :worker: and you?", f"{ALICE} PRIVMSG worker :marker")
        client.expect_nothing("PRIVMSG #agents", until="PRIVMSG alice :Hello!")
        # A human's line that is not even for the agent is enough.
        client.send(f"{ALICE} PRIVMSG #agents :go on you two", ":coder!c@h PRIVMSG #agents :worker: and you?")
        client.expect("PRIVMSG #agents :coder: Hello!")

    def test_a_strangers_line_counts_as_human_once_the_server_has_told(self) -> None:
        client = self.online(peers={"cooldown_s": 0, "max_turns": 1, "bots": ["coder"]})
        client.send(":coder!c@h PRIVMSG #agents :worker: 1")
        client.expect("PRIVMSG #agents :coder: Hello!")
        client.send(":zoe!z@h PRIVMSG #agents :hello you two")
        client.whois("zoe", "Zoe")
        client.send(":coder!c@h PRIVMSG #agents :worker: 2")
        client.expect("PRIVMSG #agents :coder: Hello!")

    def test_a_bot_cannot_command_or_trigger_it(self) -> None:
        client = self.online(trigger="all", peers={"bots": ["coder"], "cooldown_s": 0})
        client.send(":coder!c@h PRIVMSG #agents :just talking", ":coder!c@h PRIVMSG #agents :worker: leave")
        client.expect("PRIVMSG #agents :coder: Hello!")
        client.send(f"{ALICE} PRIVMSG worker :marker")
        client.expect_nothing("PART|PRIVMSG #agents", until="PRIVMSG alice :Hello!")

    def test_a_bot_is_spared_error_messages_and_offers_of_more(self) -> None:
        self.llm.rules({"times": 1, "reply": {"status": 500, "error": "x"}}, {"reply": {"content": "1\n2\n3\n4"}})
        client = self.online(peers={"bots": ["coder"], "cooldown_s": 0}, limits={"answer_lines": 2})
        client.send(":coder!c@h PRIVMSG #agents :worker: fail")
        self.llm.wait_for_requests(1)
        client.send(":coder!c@h PRIVMSG #agents :worker: count")
        client.expect_nothing("PRIVMSG #agents :.*(sorry|more)", until="PRIVMSG #agents :2$")

    def test_an_answer_that_names_its_reader_is_not_addressed_twice(self) -> None:
        self.llm.rules({"reply": {"content": "coder: please help alice"}})
        client = self.online()
        self.assertEqual(self.ask(client, "ask coder", "PRIVMSG #agents"), "PRIVMSG #agents :coder: please help alice")


class Channels(AgentTest):
    def test_it_follows_invitations_remembers_them_and_leaves_when_asked(self) -> None:
        client = self.online()
        client.send(f"{ALICE} INVITE worker :#lab")
        client.joined("#lab")
        client.send(f"{ALICE} PRIVMSG #lab :worker: hi")
        client.expect("PRIVMSG #lab :alice: Hello!")
        self.assertEqual(json.loads(self.read(".fireclaw/channels.json")), {"schema": 1, "channels": ["#lab"]})
        client.close()
        client = self.irc.accept()
        client.welcome()
        client.joined("#agents")
        client.joined("#lab")
        client.send(f"{ALICE} PRIVMSG #lab :worker: please leave")
        client.whois("alice")
        client.expect("PART #lab :as alice asked")
        client.send(":worker!~agent@host.test PART #lab")
        client.sync()
        self.assertEqual(json.loads(self.read(".fireclaw/channels.json"))["channels"], [])

    def test_a_forward_is_not_kept_as_an_invitation(self) -> None:
        client = self.online()
        client.send(f"{ALICE} INVITE worker #lab")
        client.expect("JOIN #lab")
        client.send(":irc.test 470 worker #lab ##lab :Forwarding to another channel", ":worker!~agent@host.test JOIN ##lab")
        client.expect("PRIVMSG alice :cannot join #lab: the server forwards to ##lab")
        client.sync()
        self.assertFalse(os.path.exists(self.path(".fireclaw/channels.json")))
        client.close()
        client = self.irc.accept()
        client.welcome()
        client.joined("#agents")
        client.sync()
        self.assertNotIn("JOIN ##lab", client.received)

    def test_a_channel_of_its_own_is_joined_no_matter_who_lets_it_in(self) -> None:
        self.start(invite_policy="nobody")
        client = self.irc.accept()
        client.welcome()
        client.expect("JOIN #agents")
        client.send(":irc.test 473 worker #agents :Cannot join channel (+i)", f"{ALICE} INVITE worker #Agents")
        client.expect("JOIN #agents")

    def test_where_operators_are_named_only_they_invite_and_have_tools_used(self) -> None:
        self.llm.rules({"when": {"tools": True}, "reply": {"content": "with tools"}}, {"reply": {"content": "without"}})
        client = self.online(operators=["op!*@trusted"], tools=True)
        client.send(f"{ALICE} INVITE worker #evil", f"{ALICE} PRIVMSG worker :marker")
        client.expect_nothing("JOIN", until="PRIVMSG alice :without")
        client.send(":op!o@trusted INVITE worker #good", ":op!o@trusted PRIVMSG worker :hi")
        client.joined("#good")
        client.whois("op")
        client.expect("PRIVMSG op :with tools")

    def test_old_lines_of_a_channel_are_not_answered(self) -> None:
        client = self.online()
        client.send(f"@time=2020-01-01T00:00:00.000Z {ALICE} PRIVMSG #agents :worker: old question", f"{ALICE} PRIVMSG worker :marker")
        client.expect_nothing("PRIVMSG #agents", until="PRIVMSG alice :Hello!")

    def test_only_operators_may_invite_and_send_away_where_that_is_set(self) -> None:
        client = self.online(invite_policy="operators", operators=["op!*@trusted"])
        client.send(f"{ALICE} INVITE worker #evil", ":op!o@elsewhere INVITE worker #evil2", f"{ALICE} PRIVMSG #agents :worker: leave")
        client.expect_nothing("JOIN|PART", until="PRIVMSG #agents :alice: only my operators")
        client.send(":op!o@trusted INVITE worker #good")
        client.joined("#good")
        client.send(":op!o@trusted PRIVMSG #good :worker: leave")
        client.whois("op")
        client.expect("PART #good")

    def test_nobody_may_invite_where_that_is_set(self) -> None:
        client = self.online(invite_policy="nobody", operators=["*!*@*"])
        client.send(f"{ALICE} INVITE worker #evil", f"{ALICE} PRIVMSG worker :marker")
        client.expect_nothing("JOIN", until="PRIVMSG alice :Hello!")

    def test_a_kick_from_a_guest_channel_is_final_and_from_home_is_not(self) -> None:
        client = self.online()
        client.send(f"{ALICE} INVITE worker #lab")
        client.joined("#lab")
        client.send(":op!o@h KICK #lab worker :out", ":op!o@h KICK #agents worker :out")
        client.sync()
        self.assertEqual(json.loads(self.read(".fireclaw/channels.json"))["channels"], [])
        client.close()
        client = self.irc.accept()
        client.welcome()
        client.joined("#agents")
        client.sync()
        self.assertNotIn("JOIN #lab", client.received)

    def test_there_is_a_limit_on_channels(self) -> None:
        client = self.online(limits={"channels": 3})
        for number in range(6):
            client.send(f"{ALICE} INVITE worker #c{number}")
        client.joined("#c0")
        client.joined("#c1")
        client.send(f"{ALICE} PRIVMSG worker :marker")
        client.expect_nothing("JOIN", until="PRIVMSG alice :Hello!")

    def test_a_torn_list_of_channels_is_set_aside_and_said(self) -> None:
        self.write(".fireclaw/channels.json", '{"schema": 1, "chan')
        with self.assertLogs("status", "ERROR") as logs:
            self.online()
        self.assertIn("channels.json.bad", logs.output[0])
        self.assertTrue(os.path.exists(self.path(".fireclaw/channels.json.bad")))

    def test_a_list_with_something_else_in_it_is_not_trusted(self) -> None:
        self.write(".fireclaw/channels.json", '{"schema": 1, "channels": ["#ok", "#a\\r\\nQUIT"]}')
        with self.assertLogs("status", "ERROR"):
            client = self.online()
        self.assertNotIn("JOIN #ok", client.received)


class Reloading(AgentTest):
    def test_a_copy_does_not_share_its_chances_with_the_first(self) -> None:
        self.online()
        agent = self.running.agent

        def chances() -> List[object]:
            before = agent._rng.getstate()
            agent.become(config.parse(self.settings(name="other", nick="other")))
            return [before, agent._rng.getstate()]

        before, after = self.running.call(chances)
        self.assertNotEqual(before, after)
        client = self.irc.accept()
        client.welcome()
        client.joined("#agents")
        self.assertEqual(client.expect("PRIVMSG"), "PRIVMSG #agents :[forked from worker]")

    def test_a_copy_keeps_what_was_said_and_nothing_that_was_the_first_ones_to_do(self) -> None:
        client = self.online()
        self.ask(client, "hello", "PRIVMSG #agents :alice: Hello!")
        agent = self.running.agent

        def become() -> List[object]:
            agent._undelivered.append((0.0, "#agents", ["late"]))
            agent._held["mallory"] = []
            agent._remarked["alice"] = 0.0
            agent._answering["#agents"] = "alice"
            agent._inviters["#lab"] = "alice"
            agent._last_error = "no LLM"
            agent._pager.first_page("#agents", ["one", "the rest"], 1, 1, 0.0)
            quote, guard = agent._quote, agent._guard
            agent.become(config.parse(self.settings(name="other", nick="other")))
            self.assertNotEqual(agent._quote, quote)
            self.assertIsNot(agent._guard, guard)
            self.assertIsNone(agent._pager.next_page("#agents", 1, 1, 0.0))
            undelivered = [item for item in agent._undelivered if item[2] != ["[forked from worker]"]]
            return [undelivered, agent._held, agent._remarked, agent._answering, agent._inviters, agent._last_error]

        for left in self.running.call(become):
            self.assertFalse(left)
        again = self.irc.accept()
        again.welcome()
        again.joined("#agents")
        self.assertEqual(again.expect("PRIVMSG"), "PRIVMSG #agents :[forked from worker]")

    def test_model_persona_and_trigger_change_in_mid_conversation_without_leaving(self) -> None:
        client = self.online(persona="You are old.")
        self.ask(client, "hi", "PRIVMSG #agents :alice: Hello!")
        self.running.reload(self.settings(llm={"model": "phi4-mini"}, persona="You are new."))
        self.assertEqual(client.expect(r"PRIVMSG #agents :\[rel"), "PRIVMSG #agents :[reloaded: model=phi4-mini, persona]")
        self.ask(client, "what did I say?", "PRIVMSG #agents :alice: Hello!")
        body = self.llm.requests[-1]["body"]
        self.assertEqual(body["model"], "phi4-mini")
        self.assertIn("You are new.", body["messages"][0]["content"])
        self.assertIn("<alice> worker: hi", json.dumps(body["messages"]))
        self.assertFalse(any(line.startswith(("QUIT", "PART")) for line in client.received))

    def test_an_answer_under_way_is_not_lost(self) -> None:
        self.llm.rules({"reply": {"content": "late", "delay": 0.3}})
        client = self.online()
        client.send(f"{ALICE} PRIVMSG worker :go")
        self.llm.wait_for_requests(1)
        self.running.reload(self.settings(llm={"model": "other"}))
        client.expect("PRIVMSG alice :late")

    def test_another_nick_is_a_nick_change(self) -> None:
        client = self.online()
        self.running.reload(self.settings(nick="robot"))
        client.expect("NICK robot")
        client.send(":worker!~agent@host.test NICK robot")
        client.expect(r"PRIVMSG #agents :\[reloaded: nick=robot\]")
        client.send(f"{ALICE} PRIVMSG #agents :robot: hi")
        client.expect("PRIVMSG #agents :alice: Hello!")

    def test_other_channels_are_joined_and_left(self) -> None:
        client = self.online()
        self.running.reload(self.settings(channels=["#agents", "#new key"]))
        client.expect("JOIN #new key")
        client.send(":worker!~agent@host.test JOIN #new")
        self.running.reload(self.settings(channels=["#new key"]))
        client.expect("PART #agents")

    def test_another_server_is_a_goodbye_and_a_new_connection(self) -> None:
        # A change is not an outage: nothing is waited for.
        client = self.online(limits={"reconnect_first_s": 500, "reconnect_max_s": 500})
        with FakeIrc() as other:
            self.running.reload(self.settings(server={"port": other.port}, limits={"reconnect_first_s": 500, "reconnect_max_s": 500}))
            client.expect("QUIT :changing servers")
            # The old server does not close the connection; that must not matter.
            second = other.accept()
            second.welcome()
            second.joined("#agents")
            second.expect(r"PRIVMSG #agents :\[reloaded: server\]")
            self.assertFalse(self.running.status()["last_error"])


class Connections(AgentTest):
    def test_a_nick_that_changes_while_there_is_no_connection_is_the_next_ones(self) -> None:
        client = self.online(limits={"reconnect_first_s": 500, "reconnect_max_s": 500})
        client.close()
        deadline = time.monotonic() + 20
        while self.running.status()["state"] != "waiting":
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)
        self.running.reload(self.settings(nick="robot", limits={"reconnect_first_s": 500, "reconnect_max_s": 500}))
        self.running.reload(self.settings(nick="robot", user="other"))
        second = self.irc.accept()
        second.welcome()
        self.assertEqual(second.nick, "robot")

    def delays(self, ends: List[str]) -> List[float]:
        """How long it waits after each connection, of which each has such an end soon after the greeting."""
        with self.assertLogs("link", "INFO") as logs:
            running = self.start(limits={"reconnect_first_s": 0.02, "reconnect_max_s": 50})
            for end in ends:
                client = self.irc.accept()
                client.welcome()
                client.joined("#agents")
                client.send(end)
                client.close()
            deadline = time.monotonic() + 10
            while running.status()["state"] != "waiting" and time.monotonic() < deadline:
                time.sleep(0.02)
        return [float(found.group(1)) for found in (re.search("connecting again in ([0-9.]+) s", line) for line in logs.output) if found]

    def test_a_server_that_does_not_want_it_is_not_asked_again_soon(self) -> None:
        self.assertGreaterEqual(self.delays(["ERROR :Closing Link: (K-lined)"])[0], 25.0)

    def test_a_ban_without_a_parting_word_is_in_the_status(self) -> None:
        with self.assertLogs("link", "INFO") as logs:
            running = self.start(limits={"reconnect_first_s": 0.02, "reconnect_max_s": 50})
            client = self.irc.accept()
            client.expect("USER")
            client.send(":irc.test 465 * :You are banned: no bots")
            client.close()
            deadline = time.monotonic() + 10
            while running.status()["state"] != "waiting" and time.monotonic() < deadline:
                time.sleep(0.02)
        self.assertIn("You are banned: no bots", running.status()["last_error"])
        self.assertTrue(any("connecting again" in line for line in logs.output))

    def test_connections_that_were_short_do_not_count_as_good_ones(self) -> None:
        delays = self.delays(["ERROR :Server going down"] * 6)
        self.assertLessEqual(delays[0], 0.1)
        self.assertGreaterEqual(delays[5], 0.3)

    def test_a_nick_in_use_is_regained_and_the_conversation_works_under_both(self) -> None:
        self.start(limits={"regain_s": 0.2})
        client = self.irc.accept()
        client.expect("USER")
        client.send(":irc.test CAP * LS :", ":irc.test 433 * worker :in use")
        client.expect("NICK worker_$")
        client.nick = "worker_"
        client.greet()
        client.joined("#agents")
        client.send(f"{ALICE} PRIVMSG #agents :worker_: hi")
        client.whois("alice")
        client.expect("PRIVMSG #agents :alice: Hello!")
        client.expect("NICK worker$")
        client.send(":worker_!~agent@host.test NICK worker")
        client.nick = "worker"
        client.send(f"{ALICE} PRIVMSG #agents :worker: hi")
        client.expect("PRIVMSG #agents :alice: Hello!")

    def test_it_comes_back_after_every_kind_of_end(self) -> None:
        self.start()
        for end in ("close", "error", "garbage", "banned"):
            client = self.irc.accept()
            client.welcome()
            client.joined("#agents")
            if end == "error":
                client.send("ERROR :Closing Link: server going down")
                client.expect_end()
            elif end == "garbage":
                client.raw(os.urandom(100000))
            elif end == "banned":
                client.send("ERROR :K-lined: go away")
                client.expect_end()
            client.close()
        self.irc.accept().welcome()

    def test_a_collision_is_come_back_from_soon(self) -> None:
        client = self.online(limits={"reconnect_first_s": 0.05, "reconnect_max_s": 500})
        client.send(":irc.test KILL worker :irc.test (Nick collision)", "ERROR :Closing Link: host (irc.test (Nick collision))")
        client.close()
        self.irc.accept().welcome()

    def test_a_silent_server_is_left(self) -> None:
        self.start(limits={"ping_interval_s": 0.2, "ping_timeout_s": 0.2})
        client = self.irc.accept()
        client.welcome()
        client.expect("PING :fireclaw")
        client.expect_end()
        self.irc.accept().welcome()

    def test_after_excess_flood_it_speaks_more_slowly(self) -> None:
        running = self.start(limits={"message_burst": 4})
        client = self.irc.accept()
        client.welcome()
        client.send("ERROR :Closing Link: worker (Excess Flood)")
        client.expect_end()
        client = self.irc.accept()
        client.welcome()
        client.joined("#agents")
        self.assertEqual(running.call(lambda: running.agent.link._pacer.slowness), 2.0)

    def test_it_speaks_as_fast_as_the_server_takes_it(self) -> None:
        lines = [f"line {number}" for number in range(60)]
        self.llm.rules({"reply": {"content": "\n".join(lines)}})
        # Without a pace of its own it takes the server's, which is known by its network.
        rows: Tuple[Tuple[str, Dict[str, Any], bool], ...] = (
            ("TestNet", {}, True), ("fireclaw", {}, False), ("TestNet", {"message_burst": 70}, False),
            ("fireclaw", {"message_burst": 5, "message_interval_s": 5.0}, True))
        for network, pace, slow in rows:
            limits: Dict[str, Any] = {"message_burst": None, "message_interval_s": None, "answer_lines": 100, **pace}
            with self.subTest(network=network, pace=pace), RunningAgent(self.settings(limits=limits)):
                client = self.irc.accept()
                client.welcome(f"CASEMAPPING=ascii NETWORK={network}")
                client.joined("#agents")
                client.send(f"{ALICE} PRIVMSG #agents :worker: count")
                client.whois("alice")
                if slow:
                    client.expect("PRIVMSG #agents :line 1$")
                    client.sync()
                    self.assertNotIn("PRIVMSG #agents :line 20", client.received)
                else:
                    client.expect("PRIVMSG #agents :line 59", timeout=5.0)

    def test_an_answer_that_was_ready_during_an_outage_is_given_afterwards(self) -> None:
        self.llm.rules({"reply": {"content": "patience", "delay": 0.3}})
        client = self.online()
        client.send(f"{ALICE} PRIVMSG #agents :worker: hard question")
        self.llm.wait_for_requests(1)
        client.close()
        client = self.irc.accept()
        client.welcome()
        client.expect("JOIN #agents")
        # Not before it is in the channel.
        client.sync()
        self.running.call(lambda: self.running.agent.desk.join(5))
        client.send(":worker!~agent@host.test JOIN #agents")
        client.expect("PRIVMSG #agents :alice: patience")

    def away(self, answers: int, kept_s: float) -> FakeClient:
        """The connection ends while so many questions are open; back in the channel when all are answered."""
        self.llm.rules({"reply": {"echo": True}})
        client = self.online(limits={"queue": 100, "turns_per_minute": 100})
        with mock.patch("bot.agent._OFFLINE_KEPT_S", kept_s):
            self.llm.rules({"when": {"text": "first"}, "reply": {"content": "answer 0", "delay": 1.5}},
                           *[{"when": {"text": f"n{number}."}, "times": 1, "reply": {"content": f"answer {number}"}} for number in range(1, answers)])
            client.send(f"{ALICE} PRIVMSG #agents :worker: first")
            for number in range(1, answers):
                client.send(f"{ALICE} PRIVMSG worker :n{number}.")
            client.sync()
            client.close()
            client = self.irc.accept()
            while self.running.status()["answers"] < answers:
                pass
            client.welcome()
            client.joined("#agents")
            client.send(f"{ALICE} PRIVMSG #agents :worker: help")
            client.whois("alice")
            client.expect("PRIVMSG #agents :alice: ask me anything")
        return client

    def test_an_answer_that_is_too_old_is_not_given_any_more(self) -> None:
        client = self.away(1, kept_s=0.0)
        self.assertFalse([line for line in client.received if "answer" in line])

    def test_only_so_many_answers_wait_for_the_way_back(self) -> None:
        client = self.away(25, kept_s=300.0)
        client.sync()
        given = [line.rpartition(" ")[2] for line in client.received if ":answer" in line or ": answer" in line]
        self.assertEqual(sorted(given, key=int), [str(number) for number in range(5, 25)])

    def test_a_question_that_was_stopped_is_not_counted_as_answered(self) -> None:
        self.llm.rules({"reply": {"hang": "body"}})
        client = self.online()
        client.send(f"{ALICE} PRIVMSG worker :go")
        self.llm.wait_for_requests(1)
        client.send(f"{ALICE} PRIVMSG worker :stop")
        client.expect("PRIVMSG alice :stopped")
        self.llm.rules({"reply": {"content": "Hello!"}})
        client.send(f"{ALICE} PRIVMSG worker :hi")
        client.expect("PRIVMSG alice :Hello!")
        status = self.running.status()
        self.assertEqual((status["answers"], status["llm_errors"], status["last_error"]), (1, 0, ""))

    def test_a_memory_is_made_where_there_was_none(self) -> None:
        self.online()
        self.assertEqual(self.read("MEMORY.md"), "# Agent Memory\n")

    def test_a_stranger_whose_question_was_lost_with_the_connection_is_answered_once(self) -> None:
        self.llm.rules({"when": {"text": "marker"}, "reply": {"content": "marked"}}, {"reply": {"content": "Hello!"}})
        client = self.online()
        client.send(":zoe!z@h PRIVMSG worker :before")
        client.expect("WHOIS zoe")
        client.close()
        client = self.irc.accept()
        client.welcome()
        client.joined("#agents")
        client.send(":zoe!z@h PRIVMSG worker :after")
        client.whois("zoe")
        client.expect("PRIVMSG zoe :Hello!")
        client.send(":zoe!z@h PRIVMSG worker :marker")
        client.expect("PRIVMSG zoe :marked")
        self.assertEqual(len(self.llm.requests), 2)

    def test_a_server_that_is_not_there_yet_is_waited_for(self) -> None:
        port = self.irc.port
        self.irc.__exit__()
        running = self.start()
        while running.status()["last_error"] == "":
            pass
        self.assertIn("connection refused", running.status()["last_error"].lower())
        with socket.create_server(("127.0.0.1", port)) as listener:
            listener.settimeout(10)
            listener.accept()[0].close()

    def test_split_and_merged_packets_and_endless_lines_do_no_harm(self) -> None:
        client = self.online()
        data = f"{ALICE} PRIVMSG #agents :worker: hi\r\n".encode()
        for byte in data:
            client.raw(bytes([byte]))
        client.expect("PRIVMSG #agents :alice: Hello!")
        client.raw(b"x" * 100000 + b"\r\n" + data + b":s NOTICE * :x\r\n" + data)
        client.expect("PRIVMSG #agents :alice: Hello!")
        client.expect("PRIVMSG #agents :alice: Hello!")

    def test_the_status_file_follows(self) -> None:
        client = self.online()
        client.sync()
        status = self.running.status()
        self.assertEqual((status["schema"], status["state"], status["nick"], status["channels"]), (1, "online", "worker", ["#agents"]))
        self.assertEqual((status["model"], status["pid"], status["connections"]), ("test-model", os.getpid(), 1))
        self.ask(client, "hi", "PRIVMSG #agents")
        self.assertEqual(self.running.status()["answers"], 1)
        client.send(":worker!u@h NICK robot2")
        client.sync()
        self.assertEqual(self.running.status()["nick"], "robot2")

    def test_the_status_file_follows_by_itself(self) -> None:
        def wait_for(state: str) -> None:
            deadline = time.monotonic() + 20
            while not os.path.exists(self.path("status.json")) or json.loads(self.read("status.json"))["state"] != state:
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.01)

        self.start(limits={"reconnect_first_s": 500, "reconnect_max_s": 500})
        client = self.irc.accept()
        wait_for("connecting")
        client.welcome()
        client.joined("#agents")
        wait_for("online")
        client.close()
        wait_for("waiting")


class Tls(AgentTest):
    def certificate(self, name: str) -> str:
        return make_certificate(self.folder, name)

    def tls_server(self, certificate: str) -> FakeIrc:
        server = FakeIrc(server_context(certificate))
        self.addCleanup(server.__exit__)
        return server

    def test_a_server_with_a_known_certificate_is_spoken_to_with_sasl(self) -> None:
        certificate = self.certificate("localhost")
        server = self.tls_server(certificate)
        self.start(server={"port": server.port, "tls": True, "ca_file": certificate, "sasl": {"user": "w", "password": "p"}})
        client = server.accept()
        client.expect("CAP LS 302")
        client.nick = client.expect("NICK").split()[1]
        client.send(":irc.test CAP * LS :sasl=PLAIN")
        client.expect("CAP REQ :sasl")
        client.send(":irc.test CAP * ACK :sasl")
        client.expect("AUTHENTICATE PLAIN")
        client.send("AUTHENTICATE +")
        client.expect("AUTHENTICATE AHcAcA==")
        client.send(":irc.test 903 * :ok")
        client.expect("CAP END")
        client.greet()
        client.joined("#agents")

    def test_a_file_of_authorities_that_is_not_there_is_named(self) -> None:
        running = self.start(server={"tls": True, "ca_file": self.path("no.pem")}, limits={"reconnect_first_s": 500, "reconnect_max_s": 500})
        while running.status()["state"] != "waiting":
            pass
        self.assertRegex(running.status()["last_error"], "server.ca_file '.*no.pem' cannot be used: no such file")

    def test_an_unknown_certificate_is_refused_unless_told_otherwise(self) -> None:
        server = self.tls_server(self.certificate("localhost"))
        errors: List[Optional[BaseException]] = []

        def accept() -> None:
            try:
                server.accept()
                errors.append(None)
            except (ssl.SSLError, OSError) as error:
                errors.append(error)

        thread = threading.Thread(target=accept)
        thread.start()
        running = self.start(server={"port": server.port, "tls": True}, limits={"reconnect_first_s": 500, "reconnect_max_s": 500})
        thread.join(10)
        self.assertIsInstance(errors[0], (ssl.SSLError, OSError))
        while running.status()["state"] != "waiting":
            pass
        self.assertIn("certificate verify failed", running.status()["last_error"].lower())
        running.reload(self.settings(server={"port": server.port, "tls": True, "tls_verify": False},
                                     limits={"reconnect_first_s": 500, "reconnect_max_s": 500}))
        server.accept().welcome()


if __name__ == "__main__":
    unittest.main()

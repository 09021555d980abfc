"""Agents in real machines, on a real IRC server, with an LLM that follows a script."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import threading
import time
import unittest
from pathlib import Path
from typing import Any, List

import crew
from crew import HOME, Crew, agents, arguments, engines_of, eventually, fireclaw, is_gone, ok

ANSWER_SECONDS = 60.0
READING_SECONDS = 1.0


class Talking(Crew):
    def test_an_agent_joins_and_answers_in_the_channel_in_private_and_where_it_is_invited(self) -> None:
        alice = self.human()
        info = self.start("worker")
        self.assertEqual(info["channels"], ["#agents"])
        self.assertEqual((info["nick"], info["model"]), ("worker", "qwen2.5:7b"))
        self.assertRegex(info["address"], r"^172\.16\.0\.\d+$")
        alice.expect("worker!.* JOIN :?#agents")
        alice.say("#agents", "worker: hi")
        self.assertEqual(alice.hears("worker", "#agents", "", ANSWER_SECONDS), "alice: Hello!")
        alice.say("worker", "hi")
        self.assertEqual(alice.hears("worker", "alice", "", ANSWER_SECONDS), "Hello!")
        alice.join("#plans")
        alice.send("INVITE worker #plans")
        alice.expect("worker!.* JOIN :?#plans", ANSWER_SECONDS)
        alice.say("#plans", "worker: hi")
        self.assertEqual(alice.hears("worker", "#plans", "", ANSWER_SECONDS), "alice: Hello!")
        request = self.llm.requests[-1]
        self.assertEqual(request["body"]["model"], "qwen2.5:7b")
        self.assertIn("careful, practical assistant", self.system_prompt(request))

    def test_a_tool_call_runs_a_real_shell_in_the_machine_as_an_ordinary_user(self) -> None:
        alice = self.human()
        self.start("worker")
        self.llm.rules({"when": {"role": "tool"}, "reply": {"echo": True}},
                       {"reply": {"calls": [{"name": "run_command", "arguments": {
                           "command": "id -un; pwd; uname -n; touch /root/x 2>&1 | tail -c 18"}}]}})
        alice.say("#agents", "worker: who are you?")
        said = alice.hears("worker", "#agents", "", ANSWER_SECONDS)
        more = said
        end = time.monotonic() + ANSWER_SECONDS
        while not all(word in more for word in ("agent", "/workspace", "worker", "Permission denied")):
            self.assertLess(time.monotonic(), end, more)
            more += "\n" + alice.hears("worker", "#agents", "", ANSWER_SECONDS)
        self.assertIn("run_command", ok("agent", "exec", "worker", "cat /workspace/audit.log*"))

    def test_an_agent_without_tools_is_given_none(self) -> None:
        alice = self.human()
        self.start("quick")
        alice.say("#agents", "quick: hi")
        alice.hears("quick", "#agents", "", ANSWER_SECONDS)
        self.assertFalse(self.llm.requests[-1]["body"].get("tools"))

    def test_a_broken_llm_is_told_in_one_line_and_does_not_end_the_agent(self) -> None:
        alice = self.human()
        self.start("quick")
        for reply in ({"status": 404, "error": "model not found"}, {"status": 503, "error": "busy"},
                      {"garbage": "<html>"}, {"error_midstream": "out of memory", "content": "I th"},
                      {"cut_after": 1, "content": "I was going to"}):
            self.llm.rules({"reply": reply})
            alice.say("quick", "hi")
            self.assertTrue(alice.hears("quick", "alice", "", ANSWER_SECONDS))
            # Someone who answers faster than people read is taken for a program, and not answered.
            time.sleep(READING_SECONDS)
        self.llm.rules({"reply": {"content": "Fine again."}})
        alice.say("quick", "and now?")
        alice.hears("quick", "alice", "Fine again", ANSWER_SECONDS)

    def test_two_agents_that_are_told_to_chat_stop_by_themselves(self) -> None:
        alice = self.human()
        self.start("quick", "--name", "ann")
        self.start("quick", "--name", "ben")
        self.llm.rules({"when": {"model": "phi4-mini", "text": "ann"}, "reply": {"content": "ann: tell me more"}},
                       {"reply": {"content": "ben: and then?"}})
        before = len(self.llm.requests)
        alice.say("#agents", "ann: talk to ben")
        alice.hears("ann", "#agents", "", ANSWER_SECONDS)
        # Far longer than they would need for ten turns, were nothing to stop them.
        last, since = len(self.llm.requests), time.monotonic()
        while time.monotonic() - since < 30:
            time.sleep(0.5)
            if len(self.llm.requests) != last:
                last, since = len(self.llm.requests), time.monotonic()
            self.assertLess(last - before, 20)
        alice.say("#agents", "ann: are you there?")
        alice.hears("ann", "#agents", "", ANSWER_SECONDS)


class Lasting(Crew):
    def test_what_is_remembered_survives_a_stop_and_a_start(self) -> None:
        alice = self.human()
        self.start("worker")
        self.llm.rules({"when": {"role": "tool"}, "reply": {"content": "Noted."}},
                       {"reply": {"calls": [{"name": "save_memory", "arguments": {
                           "note": "The gate code is 4711."}}]}})
        alice.say("worker", "remember the gate code 4711")
        alice.hears("worker", "alice", "Noted", ANSWER_SECONDS)
        kept = ok("agent", "memory", "worker")
        self.assertIn("# Agent Memory", kept)
        self.assertIn("4711", kept)
        ok("agent", "stop", "worker")
        alice.expect("worker!.* QUIT ")
        self.assertEqual(ok("agent", "memory", "worker"), kept)
        self.start("worker")
        self.assertEqual(ok("agent", "memory", "worker"), kept)
        self.llm.rules({"reply": {"content": "4711"}})
        alice.say("worker", "what was the code?")
        alice.hears("worker", "alice", "4711", ANSWER_SECONDS)
        self.assertIn("4711", self.system_prompt(self.llm.requests[-1]))

    def test_settings_change_under_a_conversation_without_leaving_irc_and_survive_a_restart(self) -> None:
        alice = self.human()
        self.start("quick")
        alice.expect("quick!.* JOIN :?#agents")
        self.llm.rules({"when": {"model": "phi4-mini"}, "reply": {"content": "small", "delay": 0.5}},
                       {"when": {"model": "gemma3:4b"}, "reply": {"content": "other"}})
        alice.say("#agents", "quick: hi")
        began = time.monotonic()
        ok("agent", "reload", "quick", "--model", "gemma3:4b", "--persona", "You are a parrot.", "--trigger", "polly")
        alice.hears("quick", "#agents", r"\[reloaded: model=gemma3:4b, persona, trigger=polly\]")
        self.assertLess(time.monotonic() - began, 5)
        alice.say("#agents", "polly are you there?")
        alice.hears("quick", "#agents", ".*other", ANSWER_SECONDS)
        self.assertIn("You are a parrot.", self.system_prompt(self.llm.requests[-1]))
        self.assertFalse([line for line in alice.received if crew.matches(r"^:?quick!\S+ (QUIT|PART)", line)])
        ok("agent", "restart", "quick")
        alice.expect("quick!.* JOIN :?#agents", ANSWER_SECONDS)
        self.assertEqual(agents()["quick"]["model"], "gemma3:4b")
        alice.say("#agents", "polly again")
        alice.hears("quick", "#agents", ".*other", ANSWER_SECONDS)

    def test_settings_that_cannot_be_are_refused_and_change_nothing(self) -> None:
        self.start("quick")
        done = fireclaw("agent", "reload", "quick", "--model", "no model")
        self.assertEqual(done.returncode, 125)
        self.assertIn("model", done.stderr)
        self.assertEqual(agents()["quick"]["model"], "phi4-mini")

    def test_three_agents_come_back_when_the_irc_server_was_away(self) -> None:
        for name in ("ann", "ben", "cleo"):
            self.start("quick", "--name", name)
        type(self).irc.stop(kill=True)
        time.sleep(1)
        type(self).irc.start()
        alice = self.human()
        eventually(lambda: {"ann", "ben", "cleo"} <= set(alice.nicks("#agents")), 90)
        alice.say("#agents", "cleo: hi")
        alice.hears("cleo", "#agents", "", ANSWER_SECONDS)

    def test_its_status_is_what_the_bot_itself_says(self) -> None:
        self.start("quick")
        self.assertEqual(agents()["quick"]["state"], "running")
        status = json.loads(ok("agent", "status", "quick", "--json"))
        self.assertTrue(status["online"])
        self.assertEqual(status["channels"], ["#agents"])
        self.assertGreater(status["memory_bytes"], 1 << 20)


class Handling(Crew):
    def test_commands_files_and_logs(self) -> None:
        self.start("worker")
        self.assertEqual(ok("agent", "exec", "worker", "id -un; pwd"), "agent\n/workspace\n")
        self.assertEqual(ok("agent", "exec", "worker", "-u", "root", "--", "id", "-un"), "root\n")
        self.assertEqual(fireclaw("agent", "exec", "worker", "exit 7").returncode, 7)
        self.assertEqual(ok("agent", "exec", "worker", "cat; df --output=target . | tail -1", stdin=b"in\n"),
                         "in\n/workspace\n")
        self.assertIn("online", ok("agent", "logs", "worker"))
        self.assertEqual(len(ok("agent", "logs", "worker", "-n", "1").splitlines()), 1)
        self.assertEqual(ok("agent", "exec", "worker", "df --output=target ~ | tail -1"), "/home/agent\n")

    def test_an_agents_machine_can_be_logged_in_to_by_ssh(self) -> None:
        self.start("worker")
        self.assertEqual(ok("agent", "ssh", "worker", "id -un; uname -n; pwd"), "agent\nworker\n/home/agent\n")
        self.assertEqual(fireclaw("agent", "ssh", "worker", "exit 5").returncode, 5)
        # A login shell takes its commands from standard input.
        self.assertIn("twelve", ok("agent", "ssh", "worker", stdin=b"echo twe''lve\n"))
        self.assertEqual(fireclaw("agent", "ssh", "worker", "su -c true; sudo -n true").returncode != 0, True)

    def test_logs_can_be_followed_until_the_agent_ends_and_read_afterwards(self) -> None:
        self.start("quick")
        follower = subprocess.Popen(arguments("agent", "logs", "-f", "quick"), stdout=subprocess.PIPE, text=True)
        self.addCleanup(follower.kill)
        assert follower.stdout
        self.assertTrue(follower.stdout.readline())
        ok("agent", "reload", "quick", "--model", "other")
        while "other" not in (line := follower.stdout.readline()):
            self.assertTrue(line, "the log ended")
        ok("agent", "stop", "quick")
        follower.communicate(timeout=20)
        self.assertIn("ending", ok("agent", "logs", "quick"))

    def test_a_stop_is_orderly_and_leaves_a_clean_file_system(self) -> None:
        alice = self.human()
        self.start("quick")
        alice.expect("quick!.* JOIN")
        began = time.monotonic()
        ok("agent", "stop", "quick")
        self.assertLess(time.monotonic() - began, 15)
        alice.expect("quick!.* QUIT :.*shutting down")
        self.assertEqual(agents()["quick"]["state"], "stopped")
        shown = json.loads(ok("workspace", "show", "quick", "--json"))
        self.assertTrue(shown["clean"], shown)

    def test_two_starts_of_one_name_give_one_agent_and_one_clear_error(self) -> None:
        both: List[Any] = [None, None]

        def run(index: int) -> None:
            both[index] = fireclaw("agent", "start", "quick", "--name", "twin")

        threads = [threading.Thread(target=run, args=(index,)) for index in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(sorted(done.returncode for done in both), [0, 125], both)
        loser = next(done for done in both if done.returncode == 125)
        self.assertIn("agent 'twin' runs already", loser.stderr)
        self.assertEqual(len(engines_of()), 1)

    def test_what_cannot_be_started_leaves_nothing_behind(self) -> None:
        templates = os.path.join(crew.HOME, "templates")
        with open(os.path.join(templates, "lost.json"), "w", encoding="utf-8") as file:
            json.dump({"nick": "lost", "model": "m", "persona": "p", "image": "no-such-image"}, file)
        self.addCleanup(os.unlink, os.path.join(templates, "lost.json"))
        for words, says in ((("lost",), "no-such-image"), (("nobody",), "no template 'nobody'"),
                            (("quick", "--name", "1st"), "cannot be an agent's name"),
                            (("quick", "--net", "none"), "needs a network"),
                            (("quick", "--model", "a b"), "model")):
            done = fireclaw("agent", "start", *words)
            self.assertEqual(done.returncode, 125, words)
            self.assertIn(says, done.stderr)
        self.assertEqual(agents(), {})
        self.assertEqual(json.loads(ok("workspace", "list", "--json")), [])

    def test_a_start_says_whom_it_waits_for_where_nobody_answers(self) -> None:
        template = Path(crew.HOME, "templates", "alone.json")
        template.write_text(json.dumps({"nick": "alone", "model": "m", "persona": "p", "irc": {"port": 6998},
                                        "llm": {"url": "http://gateway:11998"}}))
        self.addCleanup(template.unlink)
        done = fireclaw("agent", "start", "alone", "--join-timeout", "2")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn('Agent "alone" started', done.stdout)
        self.assertIn("it is not on IRC yet", done.stderr)
        self.assertRegex(done.stderr, r"no IRC server answers agents at 172\.16\.0\.1:6998: .*; fix it with: fireclaw irc install")
        self.assertRegex(done.stderr, r"no LLM server answers at 172\.16\.0\.1:11998: .*; fix it with: ollama serve")

    def test_in_the_foreground_it_lives_as_long_as_the_command(self) -> None:
        alice = self.human()
        process = subprocess.Popen(arguments("agent", "start", "quick", "--foreground"), stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.kill)
        assert process.stdout
        self.assertIn('Agent "quick" started: quick [phi4-mini] (172.16.', process.stdout.readline())
        alice.expect("quick!.* JOIN")
        self.assertEqual(ok("agent", "exec", "quick", "id -un"), "agent\n")
        self.assertFalse(agents()["quick"]["detached"])
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
        self.assertEqual(process.returncode, 0)
        alice.expect("quick!.* QUIT :.*shutting down")
        self.assertEqual(agents()["quick"]["state"], "stopped")

    def test_in_the_foreground_the_command_ends_when_the_machine_does(self) -> None:
        process = subprocess.Popen(arguments("agent", "start", "quick", "--foreground"), stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.kill)
        assert process.stdout
        process.stdout.readline()
        os.kill(agents()["quick"]["engine_pid"], signal.SIGKILL)
        _, problem = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 125)
        self.assertIn("agent 'quick' ended", problem)


class Recovery(Crew):
    def test_an_agent_whose_engine_was_killed_is_found_cleaned_and_started_again(self) -> None:
        info = self.start("quick")
        other = self.start("quick", "--name", "other")
        os.kill(info["engine_pid"], signal.SIGKILL)
        eventually(lambda: is_gone(info["engine_pid"]))
        self.assertEqual(agents()["quick"]["state"], "crashed")
        report = json.loads(ok("agent", "reconcile", "--json"))
        self.assertEqual((report["crashed"], report["adopted"], report["orphans"]), (["quick"], ["other"], []))
        self.assertEqual(agents()["other"]["vm"], other["vm"])
        self.assertEqual(len(os.listdir(os.path.join(crew.HOME, "runs"))), 1)
        self.assertTrue(json.loads(ok("agent", "restart", "quick", "--json"))["online"])

    def test_a_machine_that_is_paused_or_does_not_answer_is_not_ended(self) -> None:
        names = ["mute", "paused", "quick", "silent"]
        for name in names:
            self.start("quick", "--name", name)
        before = agents()
        ok("agent", "pause", "paused")
        for name in ("mute", "silent"):
            os.kill(before[name]["engine_pid"], signal.SIGSTOP)
            self.addCleanup(os.kill, before[name]["engine_pid"], signal.SIGCONT)
        began = time.monotonic()
        report = json.loads(ok("agent", "reconcile", "--json"))
        # Both were waited for at the same time.
        self.assertLess(time.monotonic() - began, 50)
        self.assertEqual((report["adopted"], report["silent"]), (["paused", "quick"], ["mute", "silent"]))
        self.assertEqual((report["crashed"], report["orphans"], report["busy"]), ([], [], []))
        for name in ("mute", "silent"):
            os.kill(before[name]["engine_pid"], signal.SIGCONT)
        ok("agent", "resume", "paused")
        for name in names:
            self.assertEqual(ok("agent", "exec", name, "uname -n"), f"{name}\n")
            self.assertEqual(agents()[name]["vm"], before[name]["vm"])

    def test_a_starter_killed_at_any_moment_leaves_nothing_that_reconcile_does_not_clean(self) -> None:
        chance = random.Random(20)
        began = time.monotonic()
        whole = json.loads(ok("agent", "start", "quick", "--name", "probe", "--json", "--join-timeout", "0"))
        took = time.monotonic() - began
        self.assertTrue(whole["vm"])
        ok("agent", "stop", "probe")
        for attempt in range(20):
            process = subprocess.Popen(arguments("agent", "start", "quick", "--name", "victim", "--join-timeout", "0"),
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(chance.random() * took)
            process.kill()
            process.wait()
            # What it had just forked ends a moment after it, and holds the agent's lock until then.
            end = time.monotonic() + 5
            while (report := json.loads(ok("agent", "reconcile", "--json")))["busy"] and time.monotonic() < end:
                pass
            ok("gc")
            left = agents().get("victim", {"state": "none", "vm": ""})
            with self.subTest(attempt=attempt, report=report, left=left["state"]):
                self.assertEqual(report["busy"], [])
                if left["vm"]:
                    # It had been started before the kill: an agent like any other.
                    self.assertEqual(left["state"], "running")
                    ok("agent", "stop", "victim")
                self.assertEqual(engines_of(), [])
                self.assertEqual(os.listdir(os.path.join(crew.HOME, "runs")), [])
                self.assertEqual(crew.taps(), [])
        self.assertTrue(json.loads(ok("agent", "start", "quick", "--name", "victim", "--json"))["online"])


    def test_an_agent_that_cannot_be_started_again_is_down_and_not_stopped(self) -> None:
        file = os.path.join(crew.HOME, "templates", "fragile.json")
        self.addCleanup(lambda: os.path.exists(file) and os.unlink(file))

        def write(image: str) -> None:
            with open(file, "w", encoding="utf-8") as out:
                json.dump({"nick": "fragile", "model": "m", "persona": "You help.", "image": image}, out)

        write("debian-agent")
        before = self.start("fragile")
        # Without its template it cannot be started: so it is not ended.
        os.unlink(file)
        done = fireclaw("agent", "restart", "fragile")
        self.assertEqual(done.returncode, 125)
        self.assertIn("no template 'fragile'", done.stderr)
        self.assertEqual((agents()["fragile"]["state"], agents()["fragile"]["vm"]), ("running", before["vm"]))
        # Twice: the second time it is down already.
        write("no-such-image")
        for _ in range(2):
            self.assertEqual(fireclaw("agent", "restart", "fragile").returncode, 125)
            self.assertEqual(agents()["fragile"]["state"], "crashed")
            self.assertIn("no-such-image", agents()["fragile"]["last_error"])
        self.assertEqual(engines_of(), [])
        ok("agent", "stop", "fragile")
        self.assertEqual(fireclaw("agent", "restart", "fragile").returncode, 125)
        self.assertEqual(agents()["fragile"]["state"], "stopped")
        write("debian-agent")
        self.assertTrue(json.loads(ok("agent", "restart", "fragile", "--json"))["online"])

    def test_a_restart_that_is_killed_at_any_moment_leaves_an_agent_that_is_to_run(self) -> None:
        chance = random.Random(6)
        self.start("quick")
        began = time.monotonic()
        ok("agent", "restart", "quick", "--json")
        took = time.monotonic() - began
        for attempt in range(8):
            process = subprocess.Popen(arguments("agent", "restart", "quick"), stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL)
            time.sleep(chance.random() * took)
            process.kill()
            process.wait()
            ok("agent", "reconcile")
            ok("gc")
            with self.subTest(attempt=attempt):
                state = agents()["quick"]["state"]
                self.assertIn(state, ("running", "crashed"))
                self.assertEqual(len(engines_of()), 1 if state == "running" else 0)


class Unprivileged(Crew):
    def test_without_a_bridge_agents_use_the_engines_own_network(self) -> None:
        if not crew.has_user_network():
            done = crew.fireclaw("agent", "start", "quick", "--net", "user")
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("has no user-mode network", done.stderr)
            return
        alice = self.human()
        info = self.start("quick", "--net", "user")
        self.assertEqual((info["network"], info["address"]), ("user", ""))
        alice.say("#agents", "quick: hi")
        alice.hears("quick", "#agents", "", ANSWER_SECONDS)


class KeptNetwork(Crew):
    @unittest.skipIf(os.geteuid() == 0, "root's bridge needs no process that keeps it")
    def test_agents_whose_network_has_lost_its_keeper_are_named_and_get_a_new_one(self) -> None:
        alice = self.human()
        self.start("quick")
        keeper = json.loads(Path(HOME, "network-anchor.json").read_text())["holder"]["pid"]
        os.kill(keeper, signal.SIGKILL)
        alice.expect(r"quick!\S+ QUIT", ANSWER_SECONDS)
        self.assertRegex(fireclaw("agent", "reconcile").stderr, "agent 'quick' has lost its network")
        ok("agent", "restart", "quick")
        alice.expect(r"quick!\S+ JOIN", ANSWER_SECONDS)
        alice.say("#agents", "quick: hi")
        alice.hears("quick", "#agents", "", ANSWER_SECONDS)


if __name__ == "__main__":
    crew.main()

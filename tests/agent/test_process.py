"""The bot as a process: starting, waiting for a configuration, signals, ending."""

import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
import unittest
from typing import Any

from harness import BOT, TOP, FolderTest, settings
from bot_process import BotProcess
from fake_irc import FakeClient, FakeIrc
from scripted_llm import ScriptedLlm


class ProcessTest(FolderTest):
    def setUp(self) -> None:
        super().setUp()
        self.irc = FakeIrc()
        self.addCleanup(self.irc.__exit__)
        self.llm = ScriptedLlm([{"reply": {"content": "Hello!"}}])
        self.addCleanup(self.llm.close)

    def bot(self, *options: str, **changes: Any) -> BotProcess:
        bot = BotProcess(self.folder, settings(**{**changes, "server": {"port": self.irc.port, **changes.get("server", {})},
                                                  "llm": {"url": self.llm.url, **changes.get("llm", {})}}), *options)
        bot.__enter__()
        self.addCleanup(bot.__exit__)
        return bot

    def online(self) -> FakeClient:
        client = self.irc.accept()
        client.welcome()
        client.joined("#agents")
        return client


class Ending(ProcessTest):
    def test_sigterm_quits_with_a_reason_within_two_seconds(self) -> None:
        bot = self.bot()
        client = self.online()
        # The server does not close the connection: the bot must not wait for that.
        self.assertLess(bot.stop(), 2.0)
        client.expect("QUIT :shutting down")
        self.assertEqual(bot.process.returncode, 0)
        self.assertEqual(bot.status()["state"], "stopped")

    def test_sigterm_ends_a_hanging_model_and_a_running_command(self) -> None:
        self.llm.rules({"when": {"role": "user", "text": "model"}, "reply": {"hang": "headers"}},
                       {"reply": {"calls": [{"name": "run_command", "arguments": {"command": "echo $$ > pid; echo x > ready; sleep 60"}}]}})
        for question in ("model", "command"):
            bot = self.bot(tools=True)
            client = self.online()
            client.send(f":alice!a@h PRIVMSG worker :{question}")
            client.whois("alice")
            self.llm.wait_for_requests(len(self.llm.requests) + 1 if question == "model" else 2)
            if question == "command":
                deadline = time.monotonic() + 10
                while not os.path.exists(self.path("workspace/ready")):
                    self.assertLess(time.monotonic(), deadline)
                    time.sleep(0.01)
            self.assertLess(bot.stop(), 2.0)
            client.expect("QUIT :shutting down")
        pid = int(self.read("workspace/pid"))
        with self.assertRaises(ProcessLookupError):
            os.kill(pid, 0)

    def test_it_ends_at_once_while_it_is_not_connected(self) -> None:
        self.irc.__exit__()
        bot = self.bot(limits={"reconnect_first_s": 500, "reconnect_max_s": 500})
        bot.wait_log("connecting again")
        self.assertLess(bot.stop(signal.SIGINT), 2.0)
        self.assertEqual(bot.process.returncode, 0)

    def test_it_ends_while_the_server_keeps_it_waiting(self) -> None:
        bot = self.bot()
        self.irc.accept().expect("USER")
        self.assertLess(bot.stop(), 2.0)


class Starting(ProcessTest):
    def test_commands_start_with_no_signal_blocked_or_ignored(self) -> None:
        self.llm.rules({"when": {"role": "user"}, "reply": {"calls": [{"name": "run_command", "arguments": {
            "command": "grep -E '^Sig(Blk|Ign)' /proc/self/status"}}]}}, {"reply": {"content": "done"}})
        # A shell that starts something in the background ignores some of them.
        theirs = {signal.SIGQUIT, signal.SIGINT, signal.SIGCHLD, signal.SIGUSR1}
        before = {number: signal.signal(number, signal.SIG_IGN) for number in theirs}
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2, signal.SIGTERM})
        try:
            self.bot(tools=True)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
            for number, handler in before.items():
                signal.signal(number, handler)
        client = self.online()
        client.send(":alice!a@h PRIVMSG worker :go")
        client.whois("alice")
        client.expect("PRIVMSG alice :done")
        output = self.llm.requests[-1]["body"]["messages"][-1]["content"]
        self.assertRegex(output, r"exit status 0\nSigBlk:\s+0+\nSigIgn:\s+0+\n")

    def test_a_wrong_configuration_is_one_line_and_status_2(self) -> None:
        self.write("agent.json", '{"name": "worker", "server": {"host": 5}}')
        done = subprocess.run([sys.executable, BOT, "--config", self.path("agent.json")], capture_output=True, text=True, timeout=20)
        self.assertEqual(done.returncode, 2)
        self.assertRegex(done.stderr, r"^\S+ ERROR main: server\.host: must be a host name or an address, not 5\n$")

    def test_a_configuration_can_be_checked_without_starting(self) -> None:
        self.write("agent.json", json.dumps(settings()))
        for text, status in ((json.dumps(settings()), 0), ("{", 2)):
            self.write("agent.json", text)
            done = subprocess.run([sys.executable, BOT, "--check", "--config", self.path("agent.json")], capture_output=True, timeout=20)
            self.assertEqual(done.returncode, status)

    def test_it_also_runs_as_a_module(self) -> None:
        done = subprocess.run([sys.executable, "-m", "bot", "--version"], capture_output=True, text=True, timeout=20,
                              cwd=os.path.join(TOP, "agent"))
        self.assertEqual((done.returncode, done.stdout), (0, "fireclaw agent 0.1.0\n"))

    def test_every_log_line_has_time_level_and_no_secret(self) -> None:
        bot = self.bot(log_level="debug", server={"password": "hunter2"}, llm={"api_key": "sk-hidden"})
        client = self.irc.accept()
        client.expect("PASS :hunter2")
        client.welcome()
        client.joined("#agents")
        client.send(":alice!a@h PRIVMSG worker :is it sk-hidden or hunter2?")
        client.whois("alice")
        client.expect("PRIVMSG alice")
        bot.stop()
        for line in bot.log().splitlines():
            self.assertRegex(line, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (DEBUG|INFO|WARNING|ERROR) [a-z]+: ")
        self.assertIn("is it *** or ***?", bot.log())
        self.assertNotRegex(bot.log(), "hunter2|sk-hidden")


class Waiting(ProcessTest):
    def test_it_waits_for_its_configuration_and_starts_from_there(self) -> None:
        bot = self.bot("--wait-config", "--ready-file", self.path("ready"))
        bot.ready()
        self.assertEqual(self.read("ready"), f"{bot.process.pid}\n")
        # A signal without a configuration, and with a wrong one, causes neither a start nor an end.
        bot.process.send_signal(signal.SIGHUP)
        bot.write("{")
        bot.process.send_signal(signal.SIGHUP)
        bot.wait_log("is not JSON")
        self.irc.accept_nobody(0.05)
        bot.reload()
        client = self.online()
        client.send(":alice!a@h PRIVMSG worker :hi")
        client.whois("alice")
        client.expect("PRIVMSG alice :Hello!")
        bot.stop()

    def test_waiting_costs_no_time_of_the_processor(self) -> None:
        bot = self.bot("--wait-config")
        bot.ready()

        def look() -> "tuple[str, list[str], int]":
            """Its state, how often it went to sleep of its own will, and the ticks that it has used."""
            with open(f"/proc/{bot.process.pid}/stat", encoding="ascii") as file:
                fields = file.read().rpartition(")")[2].split()
            with open(f"/proc/{bot.process.pid}/status", encoding="ascii") as file:
                slept = re.findall(r"^voluntary_ctxt_switches:\s+(\d+)", file.read(), re.MULTILINE)
            return fields[0], slept, int(fields[11]) + int(fields[12])

        deadline = time.monotonic() + 10
        while look()[0] != "S":
            self.assertLess(time.monotonic(), deadline)
        before = look()
        time.sleep(0.3)
        self.assertEqual(look(), before)

    def test_everything_is_loaded_before_it_waits(self) -> None:
        """Nothing is imported between the configuration and the JOIN: that is what a warm start is for."""
        code = (
            f"import sys; sys.path.insert(0, {os.path.join(TOP, 'agent')!r})\n"
            "import bot.main as main\n"
            "loaded = set()\n"
            "original = main.wait_for_config\n"
            "def waiting(*arguments):\n"
            "    config = original(*arguments)\n"
            "    loaded.update(sys.modules)\n"
            "    return config\n"
            "main.wait_for_config = waiting\n"
            "main.main(sys.argv[1:])\n"
            "print('late:', sorted(set(sys.modules) - loaded))\n"
        )
        path = self.write("agent.json", json.dumps(settings(server={"port": self.irc.port}, workspace=self.folder)))
        with subprocess.Popen([sys.executable, "-c", code, "--wait-config", "--config", path],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            self.online()
            process.terminate()
            output = process.communicate(timeout=10)[0]
        self.assertIn("late: []", output)

    def test_it_can_be_ended_while_it_waits(self) -> None:
        bot = self.bot("--wait-config")
        bot.ready()
        self.assertLess(bot.stop(), 1.0)
        self.assertEqual(bot.process.returncode, 0)

    def test_a_configuration_that_is_there_already_is_not_waited_for(self) -> None:
        self.write("agent.json", json.dumps(settings(server={"port": self.irc.port}, workspace=self.folder)))
        self.bot("--wait-config")
        self.online()

    def test_copies_of_one_waiting_process_do_not_share_their_randomness(self) -> None:
        """Raw clones stand in for clones of a snapshot: the same memory runs on twice, under the same process id (each in a
        namespace of its own), unseen by what Python and OpenSSL do at a fork. The first pair shows that this is so."""
        number = {"x86_64": 56, "aarch64": 220}.get(platform.machine())
        if number is None:
            self.skipTest(f"the number of the system call clone is not known on {platform.machine()}")
        code = (
            "import ctypes, os, random, ssl\n"
            "from bot.main import reseed\n"
            "libc = ctypes.CDLL(None)\n"
            "random.seed(1); ssl.RAND_bytes(1)\n"
            "for again in (False, False, True, True):\n"
            f"    child = libc.syscall({number}, {0x20000000 | signal.SIGCHLD}, 0, 0, 0, 0)\n"
            "    if child == 0:\n"
            "        if again: reseed()\n"
            "        print(os.getpid(), random.random(), ssl.RAND_bytes(8).hex(), flush=True); os._exit(0)\n"
            "    os.waitpid(child, 0)\n"
        )
        wrapper = ["unshare", "--user", "--map-root-user", "--pid", "--fork"]
        if shutil.which("unshare") is None or subprocess.run([*wrapper, "true"], capture_output=True).returncode:
            self.skipTest("process id namespaces cannot be made here")
        done = subprocess.run([*wrapper, sys.executable, "-c", code], capture_output=True, text=True, timeout=20,
                              cwd=os.path.join(TOP, "agent"))
        lines = [line.split() for line in done.stdout.splitlines()]
        self.assertEqual(len(lines), 4, done.stderr)
        self.assertEqual(lines[0], lines[1])
        for index in (1, 2):
            self.assertEqual(len({line[index] for line in lines[1:]}), 3, lines)


class Reloading(ProcessTest):
    def test_sighup_changes_the_model_and_says_so_within_a_second(self) -> None:
        bot = self.bot()
        client = self.online()
        began = time.monotonic()
        bot.reload(llm={"model": "phi4-mini"})
        client.expect(r"PRIVMSG #agents :\[reloaded: model=phi4-mini\]$")
        self.assertLess(time.monotonic() - began, 1.0)
        bot.process.send_signal(signal.SIGHUP)
        client.expect(r"PRIVMSG #agents :\[reloaded: no changes\]$")

    def test_a_wrong_configuration_keeps_the_old_one_and_says_so(self) -> None:
        bot = self.bot()
        client = self.online()
        bot.reload(llm={"model": ""})
        client.expect(r"PRIVMSG #agents :\[reload failed: llm\.model: must be a model's name, not \"\"; continuing as before\]$")
        client.send(":alice!a@h PRIVMSG worker :hi")
        client.whois("alice")
        client.expect("PRIVMSG alice :Hello!")
        self.assertEqual(self.llm.requests[-1]["body"]["model"], "test-model")

    def test_many_signals_at_once_do_no_harm(self) -> None:
        bot = self.bot()
        client = self.online()
        for number in range(50):
            bot.reload(persona=f"You are number {number}.")
        bot.reload(llm={"model": "last"})
        client.expect(r"PRIVMSG #agents :\[reloaded: .*model=last")
        client.sync()
        self.assertIsNone(bot.process.poll())

    def test_a_copy_that_is_told_its_name_comes_back_under_it_and_answers_nothing_that_was_asked_before(self) -> None:
        self.llm.rules({"when": {"role": "user", "text": "who are you"}, "reply": {"content": "Hello!"}},
                       {"reply": {"hang": "headers"}})
        bot = self.bot()
        first = self.online()
        first.send(":alice!a@h PRIVMSG worker :a slow question")
        first.whois("alice")
        self.llm.wait_for_requests(1)
        first.send(":alice!a@h PRIVMSG worker :and one that waits")
        first.sync()
        bot.reload(name="ada", nick="ada")
        # Not a word on the old connection: in a copied machine it is another's.
        known = len(first.received)
        first.expect_end()
        self.assertEqual(first.received[known:], [])
        second = self.irc.accept()
        second.welcome()
        self.assertEqual(second.nick, "ada")
        second.joined("#agents")
        self.assertEqual(second.expect("PRIVMSG"), "PRIVMSG #agents :[forked from worker]")
        second.send(":alice!a@h PRIVMSG ada :who are you?")
        second.whois("alice")
        self.assertEqual(second.expect("PRIVMSG"), "PRIVMSG alice :Hello!")
        said = self.llm.requests[-1]["body"]["messages"][-1]["content"]
        self.assertIn("a slow question", said)
        self.assertEqual((bot.status()["name"], bot.status()["nick"]), ("ada", "ada"))


if __name__ == "__main__":
    unittest.main()

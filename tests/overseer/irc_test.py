"""The overseer on real IRC servers, with agents that have no machines."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request
from pathlib import Path
from typing import Tuple

from office import PROGRAM, NotifySocket, Office, Overseer, eventually, run

# office has set the path to these.
import atheme  # noqa: E402
import inspircd  # noqa: E402
import ngircd  # noqa: E402
from children import bound  # noqa: E402
from fake_irc import FakeClient, FakeIrc  # noqa: E402

STARTED = r'Agent "worker" started: worker \[qwen2\.5:7b\] \(172\.16\.0\.2\)$'


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def get(path: str, target: str) -> str:
    """What is served on a Unix socket; nothing while nobody does."""
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            client.connect(path)
            client.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            with client.makefile() as answer:
                return answer.read()
    except (FileNotFoundError, ConnectionRefusedError):
        return ""


class Commands(Office):
    def test_it_joins_says_how_things_are_and_does_what_it_is_told(self) -> None:
        alice = self.human()
        self.overseer()
        self.assertRegex(self.greeted(alice), r"^Overseer of fireclaw \S+: no agent runs\. !help lists the commands$")
        for said, answer in (("!invoke worker", STARTED),
                             ("!invoke worker", "!invoke worker failed: agent 'worker' runs already"),
                             ("!invoke quick ann --model gemma3:4b", r'Agent "ann" started: ann \[gemma3:4b\]'),
                             ("!list", r"ann \[gemma3:4b\] \(172\.16\.0\.2\) running, up \d s · worker .* running, up \d s$"),
                             ("!model ann phi4-mini", 'Agent "ann": model phi4-mini$'),
                             ("!persona ann You are a parrot.", 'Agent "ann": new persona$'),
                             ("!status ann", r"ann \[phi4-mini\] .* running, on IRC in #agents, up .* memory 100 MiB of 384 MiB"),
                             ("!pause ann", 'Agent "ann" is paused$'),
                             ("!resume ann", 'Agent "ann" is resumed$'),
                             ("!logs ann 2", "line 1 of ann$"),
                             ("!memory ann", "# Agent Memory$"),
                             ("!templates", "broken "),
                             ("!restart ann", r'Agent "ann" started: ann \[phi4-mini\]'),
                             ("!fork ann ben", r'Agent "ben" started: ben \[phi4-mini\]'),
                             ("!snapshot ann good", r"Agent \"ann\" saved as good \(42 MiB\)"),
                             ("!snapshot ann ../bad", "!snapshot: \"../bad\" cannot be a snapshot's name"),
                             ("!destroy ben", 'Agent "ben" destroyed; its workspace stays$'),
                             ("!destroy ann", 'Agent "ann" destroyed; its workspace stays$'),
                             ("!destroy ann", 'There is no agent "ann"; !list shows those there are$'),
                             ("!stopall", "Stopped worker$"),
                             ("!help !invoke", r"!invoke <template> \[name\] \[--model M\] \[--net N\]: start an agent$"),
                             ("overseer: !version", r"fireclaw \d+\.\d+\.\d+$"),
                             ("!invok worker", 'There is no command "!invok"; did you mean !invoke\\?'),
                             ("!destroy", "!destroy: an agent's name is missing. Usage: !destroy <name>$")):
            with self.subTest(said=said):
                alice.say("#control", said)
                alice.hears("overseer", "#control", answer)
        self.assertEqual(list(self.agents()), ["worker"])
        done = [(entry["command"], entry["result"]) for entry in self.audit() if entry["who"].startswith("alice!")]
        self.assertEqual(done[:5], [("!invoke worker", "asked"), ("!invoke worker", "done"), ("!invoke worker", "asked"),
                                    ("!invoke worker", "failed"), ("!invoke quick ann --model gemma3:4b", "asked")])

    def test_answers_to_private_commands_are_private(self) -> None:
        alice = self.human()
        self.overseer()
        self.greeted(alice)
        alice.say("overseer", "!invoke worker")
        alice.hears("overseer", "alice", STARTED)
        for said, answer in (("!list", "worker"), ("!help", "!invoke"), ("!help !destroy", "!destroy <name>"), ("!version", "fireclaw"),
                             ("!templates", "worker"), ("!invok worker", "did you mean"), ("!destroy", "an agent's name is missing"),
                             ("!destroy nobody", "nobody"), ("!logs worker 0", "not a number of lines"), ("!denied worker", ".")):
            with self.subTest(said=said):
                alice.say("overseer", said)
                alice.hears("overseer", "alice", ".*" + answer)
        # Nothing of it was said here.
        alice.say("#control", "!version")
        self.assertRegex(alice.hears("overseer", "#control", ""), r"^fireclaw \d")

    def test_it_is_never_kept_waiting_by_slow_starts(self) -> None:
        alice = self.human()
        self.overseer("--workers", "10")
        self.greeted(alice)
        began = time.monotonic()
        for index in range(10):
            alice.say("#control", f"!invoke slow s{index}")
        worst = 0.0
        while time.monotonic() - began < 2.5:
            asked = time.monotonic()
            alice.say("overseer", "!version")
            alice.hears("overseer", "alice", "fireclaw")
            worst = max(worst, time.monotonic() - asked)
            time.sleep(0.1)
        self.assertLess(worst, 1.0)
        lines = alice.collect(r'overseer!\S+ PRIVMSG #control :Agent "s\d" started')
        working = [line for line in alice.received if re.search(r"PRIVMSG #control :working on !invoke slow s\d$", line)]
        self.assertEqual(len(working), 10, lines)
        eventually(lambda: len(self.agents()) == 10)

    def test_pings_are_answered_while_ten_agents_start(self) -> None:
        with FakeIrc() as server:
            self.port = server.port
            self.overseer("--workers", "10")
            client = server.accept()
            client.welcome()
            client.expect("JOIN :?#control")
            client.send(":overseer!o@host JOIN #control", ":s 353 overseer = #control :overseer alice",
                        ":s 366 overseer #control :end")
            client.send(*(f":alice!a@localhost PRIVMSG #control :!invoke slow s{index}" for index in range(10)))
            began = time.monotonic()
            worst = 0.0
            while time.monotonic() - began < 2.5:
                asked = time.monotonic()
                client.send(f"PING {asked}")
                client.expect(f"PONG {asked}$")
                worst = max(worst, time.monotonic() - asked)
                time.sleep(0.1)
            self.assertLess(worst, 1.0)
            self.assertFalse([line for line in client.received if "started" in line], "they were not slow")
            client.expect("PRIVMSG #control :Agent .* started")
            working = [line for line in client.received if re.match(r"PRIVMSG #control :working on !invoke slow s\d$", line)]
            self.assertEqual(len(working), 10)

    def test_what_an_agent_answers_in_private_comes_back_to_who_asked(self) -> None:
        alice = self.human()
        self.overseer()
        self.greeted(alice)
        alice.say("#control", "!invoke quick")
        alice.hears("overseer", "#control", 'Agent "quick" started')
        alice.say("#control", "!say quick hello there")
        alice.hears("overseer", "#control", '"quick" is not on IRC at the moment')
        quick = self.human("quick", "")
        alice.say("#control", "!say quick hello there")
        quick.hears("overseer", "quick", "hello there$")
        quick.say("overseer", "hi! \x02what\x02 can I do?")
        alice.hears("overseer", "#control", "<quick> hi! what can I do\\?$")
        # What it says is never taken for a command.
        quick.say("overseer", "!stopall")
        alice.hears("overseer", "#control", "<quick> !stopall$")
        self.assertEqual(self.agents()["quick"]["phase"], "running")


    def test_an_agent_that_talks_without_end_does_not_gag_the_overseer(self) -> None:
        alice, bob = self.human(), self.human("bob")
        self.overseer()
        self.greeted(alice)
        alice.say("#control", "!invoke quick")
        alice.hears("overseer", "#control", 'Agent "quick" started')
        quick = self.human("quick", "")
        alice.say("overseer", "!say quick hello there")
        quick.hears("overseer", "quick", "hello there$")
        # What alice is told is not for bob.
        bob.say("overseer", "!say quick and me")
        bob.hears("overseer", "bob", 'Agent "quick" talks with somebody else')
        for index in range(100):
            quick.say("overseer", f"line {index}")
        alice.hears("overseer", "alice", "<quick> line 4$")
        alice.say("overseer", "!version")
        alice.hears("overseer", "alice", "fireclaw")
        alice.hears("overseer", "alice", r"<quick> … and \d\d more lines$", 40)
        self.assertLess(len([line for line in alice.received if "<quick> line" in line]), 20)


class WhoMay(Office):
    def test_without_operators_only_who_is_in_the_channel_is_obeyed_and_no_agent(self) -> None:
        alice = self.human()
        self.overseer()
        self.greeted(alice)
        mallory = self.human("mallory", "")
        mallory.say("overseer", "!invoke worker")
        mallory.hears("overseer", "mallory", "mallory: you may not give commands here")
        alice.say("#control", "!invoke worker")
        alice.hears("overseer", "#control", STARTED)
        worker = self.human("worker")
        worker.say("#control", "!stopall")
        alice.hears("overseer", "#control", "worker: you may not give commands here")
        alice.say("#control", "!list")
        alice.hears("overseer", "#control", "worker .* running")
        refused = [entry for entry in self.audit() if entry["result"] == "refused"]
        self.assertEqual([entry["command"] for entry in refused], ["!invoke worker", "!stopall"])

    def played(self, *words: str) -> FakeClient:
        """An overseer on a server that the test plays: the channel has alice, worker and mallory in it."""
        server = FakeIrc()
        self.addCleanup(server.__exit__)
        self.port = server.port
        self.overseer(*words)
        client = server.accept()
        client.welcome()
        client.expect("JOIN :?#control")
        client.send(":overseer!o@localhost JOIN #control", ":s 353 overseer = #control :overseer alice worker mallory",
                    ":s 366 overseer #control :end")
        return client

    def record(self, name: str, text: str = "") -> None:
        """An agent that an earlier overseer has left."""
        folder = Path(self.home, "agents")
        folder.mkdir(exist_ok=True)
        folder.joinpath(f"{name}.json").write_text(text or json.dumps(
            {"template": "worker", "model": "m", "persona": "", "phase": "stopped", "pid": 0, "started": 0,
             "detached": True, "error": ""}))

    def test_without_operators_only_people_on_this_machine_are_obeyed(self) -> None:
        client = self.played()
        client.expect("PRIVMSG #control :Overseer of fireclaw")
        for host in ("172.16.0.7", "192.0.2.1", "2001:db8::7", "laptop.example.org"):
            client.send(f":m{host[0]}{len(host)}!m@{host} JOIN #control", f":m{host[0]}{len(host)}!m@{host} PRIVMSG #control :!invoke worker")
        client.expect(r"PRIVMSG #control :m110: only people on this machine may give commands here, since no operators are named")
        for host in ("127.0.0.1", "localhost", "::1", "127.0.0.9"):
            client.send(f":alice!a@{host} PRIVMSG #control :!version")
            client.expect(r"PRIVMSG #control :fireclaw \d")
        self.assertEqual(self.agents(), {})
        self.assertEqual([entry["result"] for entry in self.audit() if entry["who"].startswith("m")], ["refused"] * 4)

    def test_agents_are_known_before_it_is_known_how_they_are(self) -> None:
        self.record("worker")
        Path(self.home, "agents", "slow-to-answer").touch()
        client = self.played()
        client.send(":worker!w@localhost PRIVMSG #control :!stopall")
        client.expect("PRIVMSG #control :worker: you may not give commands here")
        client.send(":alice!a@localhost PRIVMSG #control :!version")
        client.expect_nothing("PRIVMSG #control :Overseer of", r"PRIVMSG #control :fireclaw \d")
        client.expect("PRIVMSG #control :Overseer of fireclaw")

    def test_nobody_is_obeyed_on_sight_before_the_agents_are_known(self) -> None:
        self.record("torn", "{")
        client = self.played("--operator", "*!*@localhost")
        client.send(":alice!a@localhost PRIVMSG #control :!version")
        client.expect("PRIVMSG #control :alice: still looking who the agents are")
        os.unlink(os.path.join(self.home, "agents", "torn.json"))

    def test_a_mask_that_fits_agents_too_does_not_make_them_operators(self) -> None:
        self.record("worker")
        client = self.played("--operator", "*!*@localhost")
        client.expect("PRIVMSG #control :Overseer of fireclaw")
        client.send(":worker!w@localhost PRIVMSG #control :!stopall")
        client.expect("PRIVMSG #control :worker: you may not give commands here")
        client.send(":alice!a@localhost PRIVMSG #control :!version")
        client.expect(r"PRIVMSG #control :fireclaw \d")

    def test_who_leaves_takes_the_answers_along(self) -> None:
        client = self.played()
        client.expect("PRIVMSG #control :Overseer of fireclaw")
        client.send(":alice!a@localhost PRIVMSG overseer :!invoke slow")
        client.expect("PRIVMSG alice :working on !invoke slow")
        client.send(":alice!a@localhost QUIT :bye", ":mallory!m@localhost NICK alice",
                    ":alice!m@localhost PRIVMSG overseer :!version")
        client.expect(r"PRIVMSG alice :fireclaw \d")
        eventually(lambda: [entry for entry in self.audit() if (entry["command"], entry["result"]) == ("!invoke slow", "done")])
        client.send("PING all-said")
        client.expect("PONG all-said")
        self.assertFalse([line for line in client.received if line.startswith("PRIVMSG alice :Agent")])

    def test_with_operators_nobody_else_is_obeyed(self) -> None:
        alice, bob = self.human(), self.human("bob")
        self.overseer("--operator", "alice!*@127.0.0.1", "--operator", "account:carol")
        self.greeted(alice)
        bob.say("#control", "!invoke worker")
        bob.hears("overseer", "#control", "bob: you may not give commands here")
        alice.say("overseer", "!invoke worker")
        alice.hears("overseer", "alice", STARTED)
        # ngIRCd has no services.
        self.assertEqual(list(self.agents()), ["worker"])

    def test_a_thousand_commands_from_nobody_change_nothing_and_do_not_drive_it_away(self) -> None:
        alice, mallory = self.human(), self.human("mallory")
        self.overseer("--operator", "alice!*@*", message_burst=5, message_interval_s=1.0)
        self.greeted(alice)
        for start in range(0, 1000, 100):
            mallory.send(*(f"PRIVMSG #control :!invoke worker w{index}" for index in range(start, start + 100)))
        mallory.send("PING :all-said")
        mallory.expect(r"\S+ PONG .*all-said", 60)
        asked = time.monotonic()
        alice.say("#control", "!version")
        alice.hears("overseer", "#control", "fireclaw", 30)
        self.assertLess(time.monotonic() - asked, 5)
        self.assertEqual(self.agents(), {})
        self.assertEqual(len([line for line in alice.received if "you may not give commands" in line]), 1)
        self.assertFalse([line for line in alice.received if re.match(r":?overseer\S* (QUIT|PART)", line)])
        self.assertEqual(len([entry for entry in self.audit() if entry["result"] == "refused"]), 1)

    def test_a_program_that_always_answers_is_soon_not_answered(self) -> None:
        client = self.played("--operator", "bot!*@*", "--operator", "alice!*@*")
        client.expect("PRIVMSG #control :Overseer of fireclaw")
        answered = 0
        for _ in range(20):
            client.send(":bot!b@host PRIVMSG #control :!what", "PING :heard")
            client.expect("PONG :?heard")
            answered = len([line for line in client.received if "There is no command" in line])
        self.assertLess(answered, 5)
        client.send(":alice!a@host PRIVMSG #control :!version")
        client.expect(r"PRIVMSG #control :fireclaw \d")

    def test_what_is_asked_in_a_part_of_the_channel_is_answered_there(self) -> None:
        client = self.played("--operator", "alice!*@*")
        client.expect("PRIVMSG #control :Overseer of fireclaw")
        client.send(":alice!a@host PRIVMSG @#control :!version", ":mallory!m@host PRIVMSG @#control :!version")
        client.expect(r"PRIVMSG @#control :fireclaw \d")
        client.expect("PRIVMSG @#control :mallory: you may not")

    def test_a_gateway_that_was_killed_is_started_again_and_the_channel_told(self) -> None:
        client = self.played("--operator", "alice!*@*")
        client.expect("PRIVMSG #control :Overseer of fireclaw")
        Path(self.home, "agents", "gateway-killed").touch()
        client.expect("PRIVMSG #control :The gateway was gone and runs again")

    def test_an_agent_that_has_reached_its_limit_is_named_once(self) -> None:
        client = self.played("--operator", "alice!*@*")
        client.expect("PRIVMSG #control :Overseer of fireclaw")
        limits = Path(self.home, "agents", "gateway-limits")
        limits.write_text("ada 'ada' has used its 100 requests a day\n")
        client.expect("PRIVMSG #control :'ada' has used its 100 requests a day")
        limits.write_text("ada 'ada' has used its 100 requests a day\nbob 'bob' has used its 9 tokens a minute\n")
        client.expect("PRIVMSG #control :'bob' has used its 9 tokens a minute")

    def test_what_an_earlier_version_left_is_made_again_at_the_start_and_the_channel_told(self) -> None:
        old = Path(self.home, "agents", "old")
        old.parent.mkdir(mode=0o700, exist_ok=True)
        old.touch()
        client = self.played("--operator", "alice!*@*")
        client.expect("PRIVMSG #control :made again after an upgrade: image busybox")
        self.assertFalse(old.exists())
        self.assertIn("upgrade", [entry["command"] for entry in self.audit()])

    def test_what_the_server_refuses_reaches_status_and_asker(self) -> None:
        client = self.played("--operator", "alice!*@*")
        client.expect("PRIVMSG #control :Overseer of fireclaw")
        client.send(":alice!a@host PRIVMSG #control :!version")
        client.expect("PRIVMSG #control :fireclaw")
        client.send(":s 404 overseer #control :Cannot send to channel")
        client.expect("PRIVMSG alice :I cannot answer in #control: Cannot send to channel")
        status = json.loads(run("--home", self.home, "status", "--json").stdout)
        self.assertEqual(status["irc"]["last_error"], "not said in #control: Cannot send to channel")
        self.assertIn("Cannot send to channel", run("--home", self.home, "status").stdout)

    def beside_others(self) -> Tuple[Overseer, FakeClient, str]:
        """An overseer, its connection to a server that somebody else of this machine is connected to as well, and the
        word for logging in."""
        server = FakeIrc()
        self.addCleanup(server.__exit__)
        self.port = server.port
        other = subprocess.Popen(
            [sys.executable, "-c", "import os, socket, sys\nos.setuid(65534)\n"
             f"kept = socket.create_connection(('127.0.0.1', {server.port}))\nsys.stdin.read()"], stdin=subprocess.PIPE)
        self.addCleanup(other.wait, 10)
        self.addCleanup(other.kill)
        server.accept()
        overseer = self.overseer()
        client = server.accept()
        client.welcome()
        client.expect("JOIN :?#control")
        client.send(":overseer!o@localhost JOIN #control", ":s 353 overseer = #control :overseer alice mallory",
                    ":s 366 overseer #control :end")
        client.expect("PRIVMSG #control :Overseer of fireclaw")
        client.send(":alice!a@localhost PRIVMSG #control :!version")
        client.expect("PRIVMSG #control :alice: others are connected from this machine as well: say !login")
        word = eventually(lambda: re.search(r"in private: !login (\S+)", overseer.log()))[1]
        return overseer, client, word

    @unittest.skipIf(os.getuid() != 0, "only root can be somebody else")
    def test_the_word_is_for_those_in_the_channel_and_cannot_be_found_by_trying(self) -> None:
        _, client, word = self.beside_others()
        client.send(f":eve!e@localhost PRIVMSG overseer :!login {word}", *2 * [":mallory!m@localhost PRIVMSG overseer :!login guess"])
        client.expect("PRIVMSG eve :.*you may not give commands here")
        client.expect("PRIVMSG mallory :.*that is not the word")
        client.send(f":alice!a@localhost PRIVMSG overseer :!login {word}", "PING :heard")
        client.expect("PONG :?heard")
        self.assertEqual({entry["result"] for entry in self.audit() if entry["command"] == "!login"}, {"refused"})

    @unittest.skipIf(os.getuid() != 0, "only root can be somebody else")
    def test_where_others_are_connected_too_who_knows_the_word_is_obeyed(self) -> None:
        _, client, word = self.beside_others()
        client.send(":mallory!m@localhost PRIVMSG overseer :!login guess", f":alice!a@localhost PRIVMSG overseer :!login {word}")
        client.expect("PRIVMSG alice :You give the commands")
        client.send(":alice!a@localhost PRIVMSG #control :!version", f":mallory!m@localhost PRIVMSG overseer :!login {word}")
        client.expect(r"PRIVMSG #control :fireclaw \d")
        # It was for once, and for as long as the nick is seen to be hers.
        client.send(":alice!a@localhost PART #control", ":alice!x@localhost JOIN #control",
                    ":alice!x@localhost PRIVMSG #control :!invoke worker", "PING :heard")
        client.expect("PONG :?heard")
        self.assertFalse([line for line in client.received if line.startswith("PRIVMSG mallory :You give")])
        self.assertEqual([entry for entry in self.audit() if "!invoke" in entry["command"] and entry["result"] != "refused"], [])
        self.assertNotIn(word, Path(self.home, "overseer", "audit.log").read_text())

    def test_the_audit_log_is_verified(self) -> None:
        alice = self.human()
        self.overseer()
        self.greeted(alice)
        alice.say("#control", "!version")
        alice.hears("overseer", "#control", "fireclaw")
        done = run("--home", self.home, "audit", "verify")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("none of them changed", done.stdout)
        chain = json.loads(run("--home", self.home, "status", "--json").stdout)["audit_chain"]
        self.assertEqual(json.loads(run("--home", self.home, "audit", "verify", "--json").stdout)["chain"], chain)
        path = Path(self.home, "overseer", "audit.log")
        path.write_text(path.read_text().replace("!version", "!stopall"))
        done = run("--home", self.home, "audit", "verify")
        self.assertEqual(done.returncode, 125)
        self.assertIn("was changed", done.stderr)

    def test_a_server_that_others_can_reach_needs_operators(self) -> None:
        done = run("--home", self.home, "--server", "irc.example.org")
        self.assertEqual(done.returncode, 125)
        self.assertIn("others can reach 'irc.example.org'", done.stderr)
        self.assertIn("--operator", done.stderr)
        self.assertFalse(os.path.exists(os.path.join(self.home, "overseer")))


class Lasting(Office):
    def test_it_comes_back_when_the_server_was_away(self) -> None:
        alice = self.human()
        overseer = self.overseer()
        self.greeted(alice)
        type(self).irc.stop(kill=True)
        eventually(lambda: "connecting again" in overseer.log())
        type(self).irc.start()
        alice = self.human()
        eventually(lambda: "overseer" in alice.nicks("#control"))
        alice.say("#control", "!invoke worker")
        alice.hears("overseer", "#control", STARTED)

    def test_an_address_that_does_not_answer_leaves_time_for_the_next(self) -> None:
        mount = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
        if subprocess.run([*mount, "true"], capture_output=True).returncode != 0:
            self.skipTest("no mounts of its own can be had here")
        hosts = Path(self.folder, "hosts")
        hosts.write_text("127.0.0.1 localhost\n127.0.0.1 two.test\n127.0.0.2 two.test\n")
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen(0)
            self.port = silent.getsockname()[1]
            # Once as many wait as may, nobody else is answered.
            waiting = [socket.socket() for _ in range(3)]
            for one in waiting:
                self.addCleanup(one.close)
                one.setblocking(False)
                one.connect_ex(("127.0.0.1", self.port))
            with socket.create_server(("127.0.0.2", self.port)) as answering:
                self.settings(server="two.test", operators=["alice!*@*"], connect_timeout_s=4)
                overseer = subprocess.Popen([*mount, "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', str(hosts), PROGRAM,
                                             "--home", self.home], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                self.addCleanup(overseer.wait, 10)
                self.addCleanup(overseer.terminate)
                began = time.monotonic()
                answering.settimeout(10)
                answering.accept()[0].close()
                self.assertGreater(time.monotonic() - began, 1.5, "the other address was not tried first")

    def test_it_takes_its_nick_back(self) -> None:
        impostor = self.human("overseer", "")
        alice = self.human()
        self.overseer()
        self.greeted(alice, "overseer_")
        impostor.send("QUIT :gone")
        alice.expect(r"overseer_!\S+ NICK :?overseer$")
        alice.say("#control", "overseer: !version")
        alice.hears("overseer", "#control", "fireclaw")

    def test_a_dead_agent_is_announced_within_two_seconds_and_started_again(self) -> None:
        alice = self.human()
        self.overseer()
        self.greeted(alice)
        alice.say("#control", "!invoke worker")
        alice.hears("overseer", "#control", STARTED)
        eventually(lambda: self.watched() == ["worker"])
        pid = self.agents()["worker"]["pid"]
        killed = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        alice.hears("overseer", "#control", r'Agent "worker" died: its machine ended unexpectedly\. Restarting it')
        self.assertLess(time.monotonic() - killed, 2)
        alice.hears("overseer", "#control", STARTED)
        self.assertTrue(lives(self.agents()["worker"]["pid"]))

    def test_an_agent_that_keeps_dying_is_left_down_and_that_is_said(self) -> None:
        alice = self.human()
        self.overseer(restart_wait_s=0.05)
        self.greeted(alice)
        alice.say("#control", "!invoke sickly")
        alice.hears("overseer", "#control", r'Agent "sickly" died again: .*It stays down; !restart sickly starts it')
        self.assertEqual(len([line for line in alice.received if "Restarting it" in line]), 3)

    def test_killed_and_started_again_it_finds_its_agents_as_they_were(self) -> None:
        alice = self.human()
        overseer = self.overseer()
        self.greeted(alice)
        for name in ("ann", "ben"):
            alice.say("#control", f"!invoke quick {name}")
            alice.hears("overseer", "#control", f'Agent "{name}" started')
        before = self.agents()
        overseer.end(signal.SIGKILL)
        alice.expect(r"overseer!\S+ QUIT")
        os.kill(before["ben"]["pid"], signal.SIGKILL)
        self.overseer()
        self.assertRegex(self.greeted(alice), r": 1 agent runs \(ann\), 1 was found dead \(ben\)\. ")
        alice.hears("overseer", "#control", 'Agent "ben" started')
        self.assertEqual(self.agents()["ann"], before["ann"])

    def test_there_is_one_overseer_to_a_home(self) -> None:
        alice = self.human()
        self.overseer()
        self.greeted(alice)
        done = run("--home", self.home)
        self.assertEqual(done.returncode, 125)
        self.assertIn("an overseer already runs for", done.stderr)


class Ending(Office):
    def test_sigterm_undoes_what_has_begun_says_goodbye_and_leaves_agents_running(self) -> None:
        alice = self.human()
        overseer = self.overseer("--workers", "1")
        self.greeted(alice)
        alice.say("#control", "!invoke worker")
        alice.hears("overseer", "#control", STARTED)
        alice.say("#control", "!invoke slow")
        alice.say("#control", "!restart slow")
        alice.hears("overseer", "#control", "working on !invoke slow")
        overseer.process.send_signal(signal.SIGTERM)
        alice.hears("overseer", "#control", "!restart slow was not begun: the overseer ends")
        alice.hears("overseer", "#control", "!invoke slow was cancelled: the overseer ends")
        alice.expect(r"overseer!\S+ QUIT :.*overseer ends; agents continue")
        self.assertEqual(overseer.process.wait(10), 0)
        self.assertEqual(list(self.agents()), ["worker"])
        self.assertTrue(lives(self.agents()["worker"]["pid"]))

    def test_a_restart_that_is_cut_short_is_done_by_the_next_overseer(self) -> None:
        alice = self.human()
        overseer = self.overseer()
        self.greeted(alice)
        alice.say("#control", "!invoke slow")
        alice.hears("overseer", "#control", 'Agent "slow" started')
        os.kill(self.agents()["slow"]["pid"], signal.SIGKILL)
        alice.hears("overseer", "#control", 'Agent "slow" died: .*Restarting it')
        eventually(lambda: self.agents()["slow"]["pid"] == 0)
        self.assertEqual(overseer.end(), 0)
        self.assertEqual([entry["result"] for entry in self.audit() if entry["command"] == "restart slow"], ["failed"])
        self.overseer()
        self.greeted(alice)
        alice.hears("overseer", "#control", 'Agent "slow" started')

    def test_it_stops_the_agents_too_if_asked_to(self) -> None:
        alice = self.human()
        # So slow to speak that there is something left to say.
        overseer = self.overseer("--stop-agents", message_burst=1, message_interval_s=0.5)
        self.greeted(alice)
        for name in ("ann", "ben"):
            alice.say("#control", f"!invoke quick {name}")
            alice.hears("overseer", "#control", f'Agent "{name}" started')
        self.assertEqual(overseer.end(), 0)
        alice.hears("overseer", "#control", "Stopped ann, ben$")
        alice.expect(r"overseer!\S+ QUIT :.*and the agents too")
        own = [(entry["command"], entry["result"]) for entry in self.audit() if entry["who"] == "overseer"]
        self.assertEqual((own[0], own[-1]), (("begin", "done"), ("end", "done")))
        self.assertEqual({name: agent["phase"] for name, agent in self.agents().items()}, {"ann": "stopped", "ben": "stopped"})

    def test_it_ends_also_without_a_server(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as unused:
            self.port = unused.getsockname()[1]
        overseer = self.overseer()
        eventually(lambda: "connecting again" in overseer.log())
        began = time.monotonic()
        self.assertEqual(overseer.end(), 0)
        self.assertLess(time.monotonic() - began, 5)


class Service(Office):
    def test_systemd_is_told_how_it_is(self) -> None:
        path = os.path.join(self.folder, "notify")
        systemd = NotifySocket(path)
        self.addCleanup(systemd.close)
        overseer = self.overseer(env={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "400000"})
        systemd.wait_for("READY=1")
        for _ in range(3):
            systemd.wait_for("WATCHDOG=1")
        overseer.process.send_signal(signal.SIGTERM)
        systemd.wait_for("STOPPING=1")
        self.assertEqual(overseer.process.wait(10), 0)

    def test_status_and_metrics_can_be_read(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as unused:
            port = unused.getsockname()[1]
        alice = self.human()
        self.overseer("--metrics", f"127.0.0.1:{port}")
        self.greeted(alice)
        alice.say("#control", "!invoke worker")
        alice.hears("overseer", "#control", STARTED)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
        self.assertIn("fireclaw_agent_start_seconds_count 1\n", text)
        self.assertIn("fireclaw_overseer_irc_online 1\n", text)
        self.assertIn('fireclaw_overseer_commands_total{command="!invoke",result="done"} 1\n', text)
        eventually(lambda: "worker" in run("--home", self.home, "status").stdout)
        shown = run("--home", self.home, "status").stdout
        self.assertRegex(shown, r"irc +localhost:\d+ as overseer, in #control\n")
        self.assertRegex(shown, r"agent +worker \[qwen2.5:7b\] running\n")

    def test_metrics_can_be_read_from_a_socket_of_its_own_and_again_after_it_was_killed(self) -> None:
        path = os.path.join(self.folder, "metrics.socket")
        for _ in range(2):
            overseer = self.overseer("--metrics", path)
            eventually(lambda: "fireclaw_overseer_irc_online 1\n" in get(path, "/metrics"))
            self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
            self.assertIn("# TYPE fireclaw_agents gauge\n", get(path, "/metrics"))
            overseer.end(signal.SIGKILL)

    def test_what_is_at_the_path_for_metrics_is_not_removed(self) -> None:
        path = os.path.join(self.folder, "notes")
        Path(path).write_text("mine")
        done = run("--home", self.home, "--metrics", path)
        self.assertEqual(done.returncode, 125)
        self.assertIn(f"'{path}' is there already", done.stderr)
        self.assertEqual(Path(path).read_text(), "mine")

    def test_the_journal_is_told_how_bad_it_is(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as unused:
            self.port = unused.getsockname()[1]
        log = Path(self.home + ".log")
        log.touch()
        about = log.stat()
        # As systemd says to a service that it is the journal that standard error goes to.
        overseer = self.overseer(env={"JOURNAL_STREAM": f"{about.st_dev}:{about.st_ino}"})
        eventually(lambda: "connecting again" in overseer.log())
        overseer.end()
        lines = log.read_text().splitlines()
        self.assertTrue(all(re.match("<[3467]>", line) for line in lines), lines)
        self.assertTrue([line for line in lines if re.match("<4>.*connecting again", line)], lines)
        self.assertTrue([line for line in lines if line == "<6>ending; agents continue"], lines)
        # The variable is inherited by what writes elsewhere.
        log.write_text("")
        overseer = self.overseer(env={"JOURNAL_STREAM": f"{about.st_dev}:{about.st_ino + 1}"})
        eventually(lambda: "connecting again" in overseer.log())
        overseer.end()
        self.assertTrue(all(line.startswith("fireclaw-overseer: ") for line in log.read_text().splitlines()))

    def test_agents_that_a_shutdown_ended_are_back_afterwards_and_stopped_ones_are_not(self) -> None:
        alice = self.human()
        overseer = self.overseer()
        self.greeted(alice)
        for name in ("eve", "ada", "bob"):
            alice.say("#control", f"!invoke worker {name}")
            alice.hears("overseer", "#control", f'Agent "{name}" started')
            if name == "eve":
                alice.say("#control", "!stopall")
                eventually(lambda: self.agents()["eve"]["phase"] == "stopped")
        overseer.end()
        done = run("--home", self.home, "shutdown", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout), {"ended": ["agent ada", "agent bob"], "failed": []})
        self.assertEqual({agent["phase"] for agent in self.agents().values()}, {"stopped"})
        self.overseer()
        eventually(lambda: {name: agent["phase"] for name, agent in self.agents().items()} ==
                   {"ada": "running", "bob": "running", "eve": "stopped"})

    def test_the_status_of_no_overseer_is_an_error(self) -> None:
        done = run("--home", self.home, "status")
        self.assertEqual(done.returncode, 125)
        self.assertIn("no overseer answers", done.stderr)

    def test_a_unit_is_installed_that_systemd_takes(self) -> None:
        units = os.path.join(self.folder, "units")
        self.settings()
        done = run("--home", self.home, "install", "--no-enable", "--unit-folder", units)
        self.assertEqual(done.returncode, 0, done.stderr)
        done = run("--home", self.home, "irc", "install", "--no-enable", "--unit-folder", units, "--port", "7000")
        self.assertEqual(done.returncode, 0, done.stderr)
        text = Path(units, "fireclaw-overseer.service").read_text()
        self.assertIn(f'ExecStart="{os.path.realpath(PROGRAM)}" "--home" "{self.home}" "--config"', text)
        self.assertIn('"irc" "--port" "7000"', Path(units, "fireclaw-irc.service").read_text())
        if analyze := shutil.which("systemd-analyze"):
            checked = subprocess.run([analyze, "verify", "--man=no", *map(str, Path(units).iterdir())], capture_output=True,
                                     text=True, timeout=60, env={**os.environ, "SYSTEMD_UNIT_PATH": f"{units}:"})
            complaints = [line for line in checked.stderr.splitlines() if "fireclaw-" in line]
            self.assertEqual(complaints, [])

    def test_what_others_could_read_is_warned_of(self) -> None:
        overseer = self.overseer(sasl_user="boss", sasl_password="secret")
        eventually(lambda: "holds a password that others on this machine can read; run: chmod 600" in overseer.log())
        eventually(lambda: "SASL login as 'boss' failed: the server offers none" in overseer.log())
        self.assertNotIn("secret", overseer.log())

    def test_what_should_be_in_the_file_is_not_installed_from_the_command_line(self) -> None:
        done = run("--home", self.home, "--nick", "boss", "install", "--no-enable", "--unit-folder", self.folder)
        self.assertEqual(done.returncode, 125)
        self.assertIn("--nick cannot be used with a command", done.stderr)

    def test_mistakes_are_named(self) -> None:
        for words, says in ((("--port", "0"), "--port"), (("--nick", "a b"), "'a b' cannot be a nick"),
                            (("--config", "/no/such/file"), "'/no/such/file' cannot be read"),
                            (("--metrics", "0.0.0.0:1"), "not a place for metrics"), (("--frobnicate",), "--frobnicate"),
                            (("--operator", "alice"), "operator 'alice' is neither"),
                            (("--sasl-user", "x"), "--sasl-password-file"), (("--tls-ca", "/dev/null", "--tls", "--log-level", "x"), "'x'")):
            with self.subTest(words=words):
                done = run("--home", self.home, *words)
                self.assertEqual(done.returncode, 125)
                self.assertIn(says, done.stderr)
                self.assertEqual(len(done.stderr.splitlines()), 1)


class Tls(Office):
    def certificate(self, name: str) -> str:
        """A file with key and certificate for localhost that only this test trusts."""
        path = os.path.join(self.folder, name)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                        "-addext", f"subjectAltName=DNS:{name}", "-keyout", path + ".key", "-out", path + ".pem"],
                       check=True, capture_output=True, timeout=60)
        return path

    def test_the_server_must_prove_who_it_is(self) -> None:
        good, other = self.certificate("localhost"), self.certificate("elsewhere.test")
        with ngircd.Ngircd(self.folder, tls=good) as server:
            self.port = server.port
            alice = self.human()
            trusting = self.overseer("--tls", "--tls-ca", good + ".pem", "--port", str(server.tls_port))
            self.greeted(alice)
            alice.say("#control", "!invoke worker")
            alice.hears("overseer", "#control", STARTED)
            trusting.end()
            for words in (("--tls-ca", other + ".pem"), ()):
                doubting = self.overseer("--tls", *words, "--port", str(server.tls_port))
                eventually(lambda: "the certificate of 'localhost' cannot be trusted" in doubting.log())
                doubting.end()
        with ngircd.Ngircd(self.folder, tls=other) as server:
            self.port = server.port
            wrong = self.overseer("--tls", "--tls-ca", other + ".pem", "--port", str(server.tls_port))
            eventually(lambda: "does not match" in wrong.log())

    def test_what_came_with_more_than_is_read_at_once_is_not_left_lying(self) -> None:
        certificate = self.certificate("localhost")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate + ".pem", certificate + ".key")
        with FakeIrc(context) as server:
            overseer = self.overseer("--tls", "--tls-ca", certificate + ".pem", "--port", str(server.port))
            client = server.accept()
            client.welcome()
            client.expect("JOIN :?#control")
            # Six records of 12 KiB at once: of the last one a part is left when 64 KiB have been read.
            overseer.process.send_signal(signal.SIGSTOP)
            eventually(lambda: "State:\tT" in Path(f"/proc/{overseer.process.pid}/status").read_text())
            padding = b":s NOTICE * :" + b"x" * 241 + b"\r\n"
            for _ in range(5):
                client.raw(padding * 48)
            client.raw((padding * 47 + b"PING :all-read\r\n".rjust(256, b"\n")))
            overseer.process.send_signal(signal.SIGCONT)
            client.expect("PONG :?all-read$")

    def test_a_password_for_a_server_that_need_not_prove_anything_is_warned_of(self) -> None:
        overseer = self.overseer(tls=True, tls_verify=False, password="secret")
        eventually(lambda: "the password goes to any server that claims to be the right one" in overseer.log())


@unittest.skipIf(inspircd.PATH is None, "inspircd is not installed")
class OtherServer(Office):
    def test_another_server_will_do_as_well(self) -> None:
        with inspircd.Inspircd(self.folder) as server:
            self.port = server.port
            alice, bob = self.human(), self.human("bob")
            overseer = self.overseer("--operator", "alice!*@*")
            self.greeted(alice)
            alice.say("#control", "!invoke worker")
            alice.hears("overseer", "#control", STARTED)
            bob.say("#control", "!stopall")
            alice.hears("overseer", "#control", "bob: you may not give commands here")
            alice.say("overseer", "!list")
            alice.hears("overseer", "alice", r"worker \[qwen2.5:7b\] \(172.16.0.2\) running")
            alice.say("#control", "!logs worker 20")
            for index in range(1, 21):
                alice.hears("overseer", "#control", f"line {index} of worker$")
            overseer.end()
            alice.expect(r"overseer!\S+ QUIT :.*agents continue")

    def test_what_the_channel_keeps_is_not_done_again(self) -> None:
        for more in ('<module name="botmode">', '<module name="ircv3_servertime">', '<module name="ircv3_batch">', ""):
            with self.subTest(more=more):
                self.keep_and_come_back('<module name="chanhistory"><chanhistory maxlines="50" prefixmsg="yes">' + more)

    def keep_and_come_back(self, more: str) -> None:
        folder = tempfile.mkdtemp(prefix="fireclaw-office-")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        with inspircd.Inspircd(folder, more=more) as server:
            self.port = server.port
            alice = self.human()
            alice.send("MODE #control +H 20:1h")
            alice.expect(r"\S+ MODE #control \+H")
            for turn in range(2):
                overseer = self.overseer("--operator", "alice!*@*")
                self.greeted(alice)
                if turn == 0:
                    alice.say("#control", "!restart nobody")
                    alice.hears("overseer", "#control", 'There is no agent "nobody"')
                alice.say("#control", "!version")
                alice.hears("overseer", "#control", "fireclaw")
                overseer.end()
                alice.expect(r"overseer!\S+ QUIT")
            self.assertEqual(len([line for line in alice.received if "There is no agent" in line]), 1)


@unittest.skipIf(inspircd.PATH is None or atheme.PATH is None, "inspircd or atheme-services is not installed")
class Accounts(Office):
    def setUp(self) -> None:
        super().setUp()
        server = inspircd.Inspircd(self.folder, services=True)
        self.addCleanup(server.stop)
        self.addCleanup(atheme.Atheme(self.folder, server).stop)
        self.port = server.port

    def test_operators_are_known_by_their_accounts_whatever_they_are_called(self) -> None:
        alice, mallory = self.human(), self.human("mallory")
        alice.register("sesame")
        self.overseer("--operator", "account:Alice")
        self.greeted(alice)
        refused = "mallory: you may not give commands here"
        mallory.say("#control", "!invoke worker")
        mallory.hears("overseer", "#control", refused)
        alice.say("#control", "!invoke worker")
        alice.hears("overseer", "#control", STARTED)
        # A nick is anybody's.
        alice.send("NICK ally")
        mallory.expect(r"alice!\S+ NICK :?ally")
        mallory.send("NICK alice")
        mallory.expect(r"mallory!\S+ NICK :?alice")
        mallory.say("overseer", "!destroy worker")
        alice.say("overseer", "!list")
        alice.hears("overseer", "ally", r"worker \[")
        mallory.say("NickServ", "IDENTIFY alice wrong")
        mallory.expect("NickServ!.*Invalid password")
        mallory.say("overseer", "!destroy worker")
        mallory.say("NickServ", "IDENTIFY alice sesame")
        mallory.expect(r"\S+ 900 ")
        mallory.say("overseer", "!destroy worker")
        mallory.hears("overseer", "alice", 'Agent "worker" destroyed')
        # Refusals that come one after another are written down once.
        self.assertEqual([(entry["command"], entry.get("account"), entry["result"]) for entry in self.audit()
                          if entry["who"].startswith(("mallory!", "alice!"))],
                         [("!invoke worker", None, "refused"), ("!invoke worker", "alice", "asked"),
                          ("!invoke worker", "alice", "done"), ("!destroy worker", None, "refused"),
                          ("!destroy worker", "alice", "asked"), ("!destroy worker", "alice", "done")])

    def test_it_logs_in_and_takes_its_nick_from_a_connection_of_its_own_that_is_dead(self) -> None:
        alice, dead = self.human(), self.human("overseer")
        dead.register("sesame")
        self.overseer("--operator", "alice!*@*", sasl_user="overseer", sasl_password="sesame", regain_s=600)
        alice.expect(r"overseer_!\S+ JOIN")
        alice.expect(r"overseer!\S+ QUIT .*GHOST")
        alice.expect(r"overseer_!\S+ NICK :?overseer$")
        alice.say("overseer", "!version")
        alice.hears("overseer", "alice", "fireclaw")
        alice.send("WHOIS overseer")
        alice.expect(r"\S+ 330 alice overseer overseer ")

    def test_it_does_not_come_in_without_its_account(self) -> None:
        alice, owner = self.human(), self.human("owner")
        owner.register("sesame")
        overseer = self.overseer("--operator", "alice!*@*", sasl_user="owner", sasl_password="wrong")
        eventually(lambda: "SASL login as 'owner' failed" in overseer.log())
        self.assertEqual(alice.nicks("#control"), ["alice", "owner"])


class PrivateServer(Office):
    def setUp(self) -> None:
        super().setUp()
        with socket.create_server(("127.0.0.1", 0)) as unused:
            self.port = unused.getsockname()[1]

    def serve(self, *words: str) -> "Tuple[subprocess.Popen[bytes], NotifySocket]":
        """Once it says that it is ready."""
        path = os.path.join(self.folder, "notify")
        systemd = NotifySocket(path)
        self.addCleanup(systemd.close)
        server = subprocess.Popen(bound([PROGRAM, "--home", self.home, "irc", "--port", str(self.port), *words]),
                                  stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                  env={**os.environ, "NOTIFY_SOCKET": path})
        self.addCleanup(server.wait, 10)
        self.addCleanup(server.terminate)
        systemd.wait_for("READY=1")
        return server, systemd

    def test_it_serves_and_lasts(self) -> None:
        server, systemd = self.serve()
        name = "ngircd.conf" if inspircd.PATH is None else "inspircd.conf"
        self.assertEqual(os.stat(os.path.join(self.home, "irc", name)).st_mode & 0o777, 0o600)
        alice = self.human()
        self.overseer()
        self.greeted(alice)
        children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
        self.assertEqual(len(children), 1)
        os.kill(int(children[0]), signal.SIGKILL)
        systemd.wait_for("READY=1")
        alice = self.human()
        eventually(lambda: "overseer" in alice.nicks("#control"))
        server.terminate()
        self.assertEqual(server.wait(10), 0)
        eventually(lambda: not Path(f"/proc/{server.pid}").exists())
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", self.port), 1).close()

    @unittest.skipIf(inspircd.PATH is None, "inspircd is not installed")
    def test_answers_come_at_once(self) -> None:
        self.serve()
        alice = self.human()
        Path(self.home, "overseer.json").write_text(json.dumps({"port": self.port}))
        overseer = Overseer(self.home)
        self.addCleanup(overseer.end, signal.SIGKILL)
        self.greeted(alice)
        for index in range(30):
            alice.say("#control", f"!invoke quick q{index}")
        for index in range(30):
            alice.expect(r'overseer!\S+ PRIVMSG #control :Agent "q\d+" started', 30)
        # At strangers' pace, a line a second, these would take more than a minute.
        began = time.monotonic()
        for _ in range(10):
            alice.say("#control", "!list")
            alice.say("#control", "!help")
            alice.say("#control", "!templates")
        for _ in range(10):
            alice.hears("overseer", "#control", "broken ")
        self.assertLess(time.monotonic() - began, 10)

    def test_it_is_ready_wherever_it_serves(self) -> None:
        self.serve("--listen", "127.0.0.2")
        socket.create_connection(("127.0.0.2", self.port), 1).close()
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", self.port), 1).close()

    def test_it_is_not_ready_where_another_server_answers(self) -> None:
        with socket.create_server(("127.0.0.1", self.port)):
            done = run("--home", self.home, "irc", "--port", str(self.port))
        self.assertEqual(done.returncode, 125)
        self.assertIn(f"something else listens on 127.0.0.1 port {self.port}", done.stderr)
        self.assertIn("systemctl disable --now ngircd", done.stderr)


if __name__ == "__main__":
    if ngircd.PATH is None:
        print("skipped: ngircd is not installed")
        sys.exit(77)
    unittest.main(verbosity=2)

"""Copies of agents that run: forked and saved, in real machines, on a real IRC server, with a scripted LLM."""

from __future__ import annotations

import glob
import json
import os
import random
import resource
import signal
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any, Dict, List

import crew
from crew import HOME, Crew, agents, arguments, engines_of, eventually, fireclaw, ok

ANSWER_SECONDS = 60.0
# Writes a line every tenth of a second, from now on and in every copy.
COUNTING = "nohup sh -c 'n=0; while sleep 0.1; do n=$((n+1)); echo $n > ~/count; done' >/dev/null 2>&1 & echo $!"


def drafts() -> List[str]:
    return [name for folder in ("snapshots", "workspaces") for name in os.listdir(os.path.join(HOME, folder))
            if name.startswith(".")]


def snapshots() -> Dict[str, Dict[str, Any]]:
    return {each["name"]: each for each in json.loads(ok("snapshot", "list", "--json")) if each["agent"]}


def agent_status(name: str) -> Dict[str, Any]:
    status: Dict[str, Any] = json.loads(ok("agent", "status", name, "--json"))
    return status


def fork(first: str, new: str, *options: str) -> Dict[str, Any]:
    info: Dict[str, Any] = json.loads(ok("agent", "fork", first, new, "--json", *options))
    return info


class Copies(Crew):
    def nothing_is_left(self) -> None:
        for name in snapshots():
            ok("snapshot", "remove", name)
        super().nothing_is_left()
        self.assertEqual(drafts(), [])

    def count(self, name: str) -> int:
        return int(ok("agent", "exec", name, "cat ~/count 2>/dev/null; true").strip() or "0")

    def identity(self, name: str) -> List[str]:
        return ok("agent", "exec", name, "uname -n; cat /etc/machine-id /proc/sys/kernel/random/boot_id; "
                                         "ip -4 -o addr show eth0; head -c 16 /dev/urandom | od -An -tx1").splitlines()


class Forking(Copies):
    def test_a_second_agent_goes_on_from_where_the_first_is_and_both_go_their_own_ways(self) -> None:
        alice = self.human()
        self.start("worker", "--model", "special")
        alice.expect("worker!.* JOIN :?#agents")
        alice.say("#agents", "worker: hi")
        alice.hears("worker", "#agents", "", ANSWER_SECONDS)
        ok("agent", "ssh", "worker", "true")
        ok("agent", "exec", "worker", "echo ours > /workspace/shared; echo home > ~/home; echo memory > /tmp/memory; sync")
        process = ok("agent", "exec", "worker", COUNTING).strip()
        eventually(lambda: self.count("worker") > 0)

        info = fork("worker", "ada")
        self.assertTrue(info["online"], info)
        self.assertEqual((info["nick"], info["model"], info["template"], info["workspace"]),
                         ("ada", "special", "worker", "ada"))
        self.assertLess(info["timings_ms"]["pause"], 5000)
        for name in ("worker", "ada"):
            self.assertAlmostEqual(int(ok("agent", "exec", name, "date +%s")), time.time(), delta=2)
        alice.expect("ada!.* JOIN :?#agents")
        alice.hears("ada", "#agents", r"\[forked from worker\]")

        for name in ("worker", "ada"):
            with self.subTest(name=name):
                before = self.count(name)
                eventually(lambda: self.count(name) > before)
                self.assertEqual(ok("agent", "exec", name, f"kill -0 {process} && cat /workspace/shared ~/home /tmp/memory"),
                                 "ours\nhome\nmemory\n")
        for one, other in zip(self.identity("worker"), self.identity("ada")):
            self.assertNotEqual(one, other)
        self.assertEqual(ok("agent", "ssh", "ada", "uname -n"), "ada\n")
        keys = [ok("agent", "exec", name, "-u", "root", "--", "dropbearkey", "-y", "-f", "/etc/dropbear/host_key")
                for name in ("worker", "ada")]
        self.assertNotEqual(keys[0], keys[1])

        ok("agent", "exec", "ada", f"kill {process}; echo hers > /workspace/shared; rm ~/home; sync")
        self.assertEqual(ok("agent", "exec", "worker", f"kill -0 {process} && cat /workspace/shared ~/home"),
                         "ours\nhome\n")
        self.llm.rules({"reply": {"content": "Here."}})
        for name in ("worker", "ada"):
            alice.say("#agents", f"{name}: are you there?")
            self.assertEqual(alice.hears(name, "#agents", "alice", ANSWER_SECONDS), "alice: Here.")
        self.assertIn("worker: hi", self.llm.requests[-1]["body"]["messages"][1]["content"])
        self.assertFalse([line for line in alice.received if crew.matches(r"^:?worker!\S+ (QUIT|PART|NICK)", line)])

        # What it was made from may go, and it starts again like any other.
        ok("agent", "stop", "worker")
        restarted = json.loads(ok("agent", "restart", "ada", "--json"))
        self.assertTrue(restarted["online"])
        self.assertEqual(ok("agent", "exec", "ada", "cat /workspace/shared"), "hers\n")

    def test_a_copy_of_a_copy_and_of_a_paused_agent_and_without_a_bridge(self) -> None:
        network = "user" if crew.has_user_network() else "nat"
        self.start("quick", "--net", network)
        self.assertTrue(fork("quick", "ada", "--model", "other")["online"])
        ok("agent", "pause", "ada")
        info = fork("ada", "bea")
        self.assertTrue(info["online"])
        self.assertEqual((info["model"], info["network"], info["timings_ms"]["pause"]), ("other", network, 0))
        self.assertEqual(agents()["ada"]["state"], "paused")
        ok("agent", "resume", "ada")
        self.assertEqual(ok("agent", "exec", "ada", "uname -n"), "ada\n")

    def test_what_the_first_was_asked_is_answered_by_the_first_alone(self) -> None:
        alice = self.human()
        self.start("quick", "--name", "first")
        alice.say("#agents", "first: hi")
        alice.hears("first", "#agents", "alice: Hello!", ANSWER_SECONDS)
        self.llm.rules({"reply": {"content": "Slowly.", "delay": 15}})
        asked = len(self.llm.requests)
        alice.say("#agents", "first: what is it?")
        self.llm.wait_for_requests(asked + 1, ANSWER_SECONDS)
        self.assertTrue(fork("first", "second")["online"])
        self.assertEqual(alice.hears("first", "#agents", "alice", ANSWER_SECONDS), "alice: Slowly.")
        self.llm.rules({"reply": {"content": "Done."}})
        alice.say("#agents", "second: and you?")
        self.assertEqual(alice.hears("second", "#agents", "alice", ANSWER_SECONDS), "alice: Done.")
        self.assertFalse([line for line in alice.received if crew.matches(r"^:?second!.*Slowly", line)])

    def test_a_workspace_is_the_same_to_the_copy_that_has_it_mounted_and_survives_its_end(self) -> None:
        self.start("quick")
        # A file without a name, which a process still holds.
        process = ok("agent", "exec", "quick", "nohup sh -c 'exec 3>/workspace/held; rm /workspace/held; "
                     "head -c 3000000 /dev/urandom >&3; touch /tmp/held; while sleep 1; do :; done' >/dev/null 2>&1 & echo $!").strip()
        eventually(lambda: fireclaw("agent", "exec", "quick", "test -e /tmp/held").returncode == 0)
        ok("agent", "exec", "quick", "mkdir /workspace/many; for n in $(seq 100); do echo $n > /workspace/many/$n; done; sync")
        info = fork("quick", "ada")
        held = [ok("agent", "exec", name, "-u", "root", "--", "sh", "-c",
                   f"sync; echo 3 > /proc/sys/vm/drop_caches; sha256sum < /proc/{process}/fd/3") for name in ("quick", "ada")]
        self.assertEqual(held[0], held[1])
        ok("agent", "exec", "ada", "cd /workspace/many; for n in $(seq 100); do mv $n new-$n; done; sync; "
                                   "for n in $(seq 400); do echo $n > late-$n; done; sync -f .")
        os.kill(info["engine_pid"], signal.SIGKILL)
        eventually(lambda: crew.is_gone(info["engine_pid"]))
        # What any machine leaves that is cut off: no more than that.
        self.assertRegex(ok("workspace", "check", "ada"), r"^repaired: recovering journal; Clearing orphaned inode [^;]*\n$")
        ok("agent", "restart", "ada")
        self.assertEqual(ok("agent", "exec", "ada", "cd /workspace/many; ls | wc -l; cat new-77 late-399"), "500\n77\n399\n")

    def test_what_cannot_be_copied_is_refused_and_leaves_nothing(self) -> None:
        self.start("quick")
        self.start("quick", "--name", "there")
        ok("agent", "stop", "there")
        ok("workspace", "create", "taken", "--size", "16M")
        self.addCleanup(fireclaw, "workspace", "remove", "taken")
        for words, says in ((("fork", "quick", "quick"), "there is an agent 'quick' already"),
                            (("fork", "quick", "there"), "there is an agent 'there' already"),
                            (("fork", "quick", "taken"), "there is a workspace named 'taken'"),
                            (("fork", "quick", "Quick"), "on IRC 'Quick' is the same name"),
                            (("start", "quick", "--name", "QUICK"), "on IRC 'QUICK' is the same name"),
                            (("fork", "quick", "1st"), "cannot be an agent's name"),
                            (("fork", "nobody", "ada"), "no agent 'nobody'"),
                            (("fork", "there", "ada"), "agent 'there' is not running"),
                            (("fork", "quick", "ada", "--model", "a b"), "model"),
                            (("snapshot", "there"), "agent 'there' is not running"),
                            (("snapshot", "quick", "../x"), "cannot be the name of a snapshot"),
                            (("start", "--from", "none"), "no snapshot named 'none'"),
                            (("start",), "template")):
            with self.subTest(words=words):
                done = fireclaw("agent", *words)
                self.assertEqual(done.returncode, 125, done.stderr)
                self.assertIn(says, done.stderr)
        self.assertEqual(sorted(agents()), ["quick", "there"])
        self.assertEqual(len(engines_of()), 1)
        self.assertEqual(drafts(), [])

    def test_a_published_port_stays_with_the_first(self) -> None:
        path = os.path.join(HOME, "templates", "shop.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"schema": 1, "nick": "shop", "model": "m", "persona": "p", "network": "nat",
                       "publish": ["127.0.0.1:18080:8000"]}, file)
        self.addCleanup(os.unlink, path)
        self.start("shop")
        ok("agent", "exec", "shop", "mkdir ~/site; echo shop > ~/site/who; "
                                    "nohup python3 -m http.server -d ~/site 8000 >/dev/null 2>&1 &")

        def asked() -> str:
            with urllib.request.urlopen("http://127.0.0.1:18080/who", timeout=10) as answer:
                return str(answer.read().decode())

        eventually(lambda: fireclaw("agent", "exec", "shop", "python3 -c 'import urllib.request as u; "
                                    "u.urlopen(\"http://127.0.0.1:8000/who\")'").returncode == 0)
        self.assertEqual(asked(), "shop\n")
        fork("shop", "ada")
        ok("agent", "exec", "ada", "echo ada > ~/site/who")
        self.assertEqual(asked(), "shop\n")
        ok("agent", "snapshot", "shop", "open")
        ok("agent", "stop", "shop")
        ok("agent", "restart", "ada")
        with self.assertRaises(OSError):
            asked()
        # Under its own name it has what it had.
        ok("agent", "remove", "shop")
        ok("workspace", "remove", "shop")
        ok("agent", "start", "--from", "open")
        self.assertEqual(asked(), "shop\n")

    def test_the_rates_of_a_template_hold_for_the_agent_its_copy_and_after_a_restart(self) -> None:
        path = os.path.join(HOME, "templates", "slow.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"schema": 1, "nick": "slow", "model": "m", "persona": "p", "network": "nat",
                       "disk_mib_per_second": 1, "network_mib_per_second": 3}, file)
        self.addCleanup(os.unlink, path)

        def check(name: str) -> None:
            begin, end = (float(word) for word in ok(
                "agent", "exec", name, "cut -d' ' -f1 /proc/uptime; dd if=/dev/zero of=/workspace/x bs=64k count=64 "
                                       "oflag=direct status=none; cut -d' ' -f1 /proc/uptime").split())
            # 4 MiB, of which the first part passes at once.
            self.assertGreater(end - begin, 2, name)
            self.assertLess(end - begin, 60, name)
            rules = subprocess.run(["nft", "list", "ruleset"], check=True, capture_output=True, text=True).stdout
            self.assertRegex(rules, rf"{agent_status(name)['address']} limit rate over 3 mbytes/second")

        self.start("slow")
        check("slow")
        fork("slow", "ada")
        check("ada")
        ok("agent", "restart", "ada")
        check("ada")

    def test_a_bot_that_is_down_at_the_moment_comes_up_as_the_other(self) -> None:
        self.start("quick")
        # guestd waits longer from one end to the next.
        ok("agent", "exec", "quick", "-u", "root", "--", "sh", "-c",
           "n=0; while [ $n -lt 5 ]; do for each in /proc/[0-9]*; do grep -qs wait[-]config $each/cmdline && "
           "kill -9 ${each#/proc/} && n=$((n+1)); done; sleep 0.05; done")
        self.assertTrue(fork("quick", "ada")["online"])
        self.assertTrue(eventually(lambda: agent_status("quick")["online"], ANSWER_SECONDS))

    def test_a_full_disk_undoes_it_and_the_first_goes_on(self) -> None:
        info = self.start("quick")

        def nearly_full() -> None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (8 << 20, 8 << 20))

        for words in (("fork", "quick", "ada"), ("snapshot", "quick", "full")):
            done = subprocess.run(arguments("agent", *words), preexec_fn=nearly_full, capture_output=True, text=True)
            self.assertEqual(done.returncode, 125, done.stderr)
            self.assertIn("copy agent 'quick'", done.stderr)
        self.assertEqual(list(agents()), ["quick"])
        self.assertEqual(drafts(), [])
        self.assertEqual(ok("agent", "exec", "quick", "echo well"), "well\n")
        self.assertEqual(agents()["quick"]["vm"], info["vm"])

    def test_a_first_agent_that_dies_meanwhile_is_told_of_and_leaves_no_second(self) -> None:
        info = self.start("quick")
        process = subprocess.Popen(arguments("agent", "fork", "quick", "ada"), stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.kill)
        eventually(lambda: [name for name in drafts() if "fork-ada" in name])
        os.kill(info["engine_pid"], signal.SIGKILL)
        _, problem = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 125)
        self.assertIn("copy agent 'quick'", problem)
        self.assertEqual(list(agents()), ["quick"])
        # The kernel takes a while to end a process with much memory.
        eventually(lambda: agents()["quick"]["state"] == "crashed")

    def test_a_machine_that_stands_still_for_a_copier_that_was_killed_goes_on(self) -> None:
        file = os.path.join(HOME, "runs", self.start("quick")["vm"], "run.json")
        for clean in (("gc",), ("agent", "reconcile")):
            # As it is in the middle of a copy.
            ok("agent", "pause", "quick")
            with open(file, encoding="utf-8") as before:
                record = json.load(before)
            with open(file, "w", encoding="utf-8") as after:
                json.dump({**record, "paused": False, "copier": {"pid": 1 << 22, "start_time": 1}}, after)
            ok(*clean)
            self.assertEqual(ok("agent", "exec", "quick", "echo well"), "well\n")
            with open(file, encoding="utf-8") as now:
                self.assertNotIn("copier", json.load(now))

    def test_a_process_killed_in_the_middle_leaves_nothing_that_is_not_cleaned(self) -> None:
        chance = random.Random(4)
        self.start("quick")
        began = time.monotonic()
        fork("quick", "ada", "--join-timeout", "0")
        took = time.monotonic() - began
        ok("agent", "stop", "ada")
        ok("agent", "remove", "ada")
        ok("workspace", "remove", "ada")
        for attempt in range(12):
            words = ("snapshot", "quick", "saved") if attempt % 4 == 3 else ("fork", "quick", "ada", "--join-timeout", "0")
            process = subprocess.Popen(arguments("agent", *words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(chance.random() * took)
            process.kill()
            process.wait()
            report = json.loads(ok("agent", "reconcile", "--json"))
            ok("gc")
            with self.subTest(attempt=attempt, report=report):
                self.assertEqual(drafts(), [])
                self.assertIn("quick", report["adopted"])
                self.assertEqual(ok("agent", "exec", "quick", "echo well"), "well\n")
                left = agents().get("ada")
                if left:
                    # What was not whole yet is gone: there is nothing to start.
                    self.assertEqual(left["state"], "running")
                    ok("agent", "stop", "ada")
                self.assertEqual(len(engines_of()), 1)
                if left:
                    ok("agent", "remove", "ada")
                fireclaw("workspace", "remove", "ada")
                fireclaw("snapshot", "remove", "saved")
        self.assertTrue(fork("quick", "ada")["online"])


    def test_a_copy_that_was_interrupted_is_never_taken_for_an_agent(self) -> None:
        self.start("quick")
        ok("agent", "stop", "quick")
        with open(os.path.join(HOME, "agents", "quick.json"), encoding="utf-8") as file:
            record = json.load(file)

        def interrupt(copy: str) -> None:
            ok("workspace", "create", "ada", "--size", "16M")
            with open(os.path.join(HOME, "agents", "ada.json"), "w", encoding="utf-8") as file:
                json.dump({**record, "name": "ada", "phase": "starting", "copy": copy,
                           "worker": {"pid": 1 << 22, "start_time": 1}}, file)

        for words, status in ((("reconcile",), 0), (("stop", "ada"), 0), (("remove", "ada"), 0), (("restart", "ada"), 125)):
            with self.subTest(words=words):
                interrupt("has workspace")
                self.assertEqual(agents()["ada"]["state"], "crashed")
                self.assertEqual(fireclaw("agent", *words).returncode, status)
                self.assertEqual(list(agents()), ["quick"])
                self.assertNotIn("ada", ok("workspace", "list"))
        # A workspace that it was not given yet is somebody else's.
        interrupt("begun")
        ok("agent", "reconcile")
        self.assertEqual(list(agents()), ["quick"])
        ok("workspace", "remove", "ada")
        # Nothing of it is in the way of another one.
        interrupt("has workspace")
        self.start("quick", "--name", "ada")


class Interrupted(Copies):
    """The process that copies an agent is killed or told to stop while the agent is paused."""

    MIB = 192

    def setUp(self) -> None:
        super().setUp()
        # So much to copy that there is time.
        ok("workspace", "create", "quick", "--size", f"{2 * self.MIB}M")
        with tempfile.TemporaryDirectory() as folder:
            big = os.path.join(folder, "big")
            with open(big, "wb") as file:
                for _ in range(self.MIB):
                    file.write(os.urandom(1 << 20))
            ok("workspace", "push", "quick", big)
        self.record = os.path.join(HOME, "runs", self.start("quick")["vm"], "run.json")

    def run_record(self) -> Dict[str, Any]:
        with open(self.record, encoding="utf-8") as file:
            record: Dict[str, Any] = json.load(file)
        return record

    def begin(self, *words: str) -> "subprocess.Popen[str]":
        """Once this returns, its disks are being copied."""
        process = subprocess.Popen(arguments("agent", *words), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                   text=True)
        self.addCleanup(process.kill)
        end = time.monotonic() + 60
        while not glob.glob(os.path.join(HOME, "snapshots", ".*", "workspace")):
            self.assertIsNone(process.poll())
            self.assertLess(time.monotonic(), end)
        return process

    def leave_it_standing(self) -> None:
        # What the one before has left, so that what appears is this one's.
        ok("agent", "reconcile")
        fireclaw("agent", "remove", "ada")
        ok("gc")
        process = self.begin("fork", "quick", "ada")
        process.kill()
        process.communicate()
        record = self.run_record()
        self.assertEqual((record["copier"]["pid"], record["paused"]), (process.pid, False))

    def continues(self) -> None:
        self.assertNotIn("copier", self.run_record())
        self.assertAlmostEqual(int(ok("agent", "exec", "quick", "date +%s", timeout=20)), time.time(), delta=2)

    def test_it_goes_on_as_soon_as_anybody_looks_at_it_or_works_with_it(self) -> None:
        for words in (("resume", "quick"), ("list",), ("status", "quick"), ("exec", "quick", "true"),
                      ("reload", "quick", "--model", "other"), ("snapshot", "quick", "saved"), ("fork", "quick", "bea")):
            with self.subTest(words=words):
                self.leave_it_standing()
                began = time.monotonic()
                ok("agent", *words)
                self.assertLess(time.monotonic() - began, 30)
                self.continues()
        self.assertTrue(agents()["bea"]["vm"])

    def test_ctrl_c_calls_the_copy_off_and_it_goes_on(self) -> None:
        for words in (("fork", "quick", "ada"), ("snapshot", "quick", "saved")):
            with self.subTest(words=words):
                process = self.begin(*words)
                process.send_signal(signal.SIGINT)
                began = time.monotonic()
                _, problem = process.communicate(timeout=60)
                self.assertLess(time.monotonic() - began, 10)
                self.assertNotEqual(process.returncode, 0)
                self.assertIn("copy agent 'quick'", problem)
                self.assertEqual((list(agents()), drafts(), snapshots()), (["quick"], [], {}))
                self.continues()

    def test_too_little_room_is_noticed_before_it_is_stopped(self) -> None:
        small = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o size=100m none "$1" && shift && exec "$@"', "sh",
                 os.path.join(HOME, "snapshots")]
        for words in (("fork", "quick", "ada"), ("snapshot", "quick", "saved")):
            with self.subTest(words=words):
                done = subprocess.run([*small, *arguments("agent", *words)], capture_output=True, text=True, timeout=60)
                self.assertEqual(done.returncode, 125, done.stderr)
                self.assertRegex(done.stderr, r"copy agent 'quick': its memory and disks take up to \d{3,} MiB, and "
                                              r"'.*' has room for \d{2,3} MiB")
                self.assertEqual((list(agents()), drafts()), (["quick"], []))
                self.assertNotIn("clock_late", self.run_record())

    def test_it_can_be_paused(self) -> None:
        self.leave_it_standing()
        ok("agent", "pause", "quick")
        self.assertEqual(agents()["quick"]["state"], "paused")
        time.sleep(4)  # by so much its clock would be late
        ok("agent", "resume", "quick")
        self.continues()

    def test_it_is_stopped_in_order_and_loses_nothing(self) -> None:
        for word in ("restart", "stop"):
            with self.subTest(word=word):
                self.record = os.path.join(HOME, "runs", agents()["quick"]["vm"], "run.json")
                # On no disk yet.
                ok("agent", "exec", "quick", f"echo {word} > /workspace/last")
                self.leave_it_standing()
                done = fireclaw("agent", word, "quick")
                self.assertEqual((done.returncode, done.stderr.count("in order")), (0, 0), done.stderr)
                with tempfile.TemporaryDirectory() as folder:
                    ok("workspace", "pull", "quick", "last", folder)
                    self.assertEqual(Path(folder, "last").read_text(), f"{word}\n")


class Saving(Copies):
    def test_an_agent_is_saved_and_comes_back_under_other_names_as_often_as_wanted(self) -> None:
        alice = self.human()
        self.start("quick", "--model", "special")
        ok("agent", "exec", "quick", "echo then > /workspace/file; sync")
        process = ok("agent", "exec", "quick", COUNTING).strip()
        saved = json.loads(ok("agent", "snapshot", "quick", "good", "--json"))
        self.assertEqual((saved["name"], saved["agent"], saved["usable"]), ("good", "quick", True))
        folder = os.path.join(HOME, "snapshots", "good")
        taken = sum(os.stat(os.path.join(folder, name)).st_blocks * 512 for name in os.listdir(folder))
        self.assertEqual(saved["bytes"], taken)
        self.assertIn("workspace", os.listdir(folder))
        done = fireclaw("agent", "snapshot", "quick", "good")
        self.assertIn("there is a snapshot named 'good'", done.stderr)
        done = fireclaw("run", "--snapshot", "good", "true")
        self.assertIn("make an agent of it with: fireclaw agent start --from good", done.stderr)
        done = fireclaw("snapshot", "create", "good", "--replace")
        self.assertIn("save it again with: fireclaw agent snapshot quick good --replace", done.stderr)
        ok("agent", "exec", "quick", "echo now > /workspace/file; sync")
        ok("agent", "snapshot", "quick", "good", "--replace")

        for name in ("ada", "bea"):
            info = json.loads(ok("agent", "start", "--from", "good", "--name", name, "--json"))
            self.assertTrue(info["online"], info)
            self.assertEqual((info["nick"], info["model"]), (name, "special"))
            self.assertEqual(ok("agent", "exec", name, f"kill -0 {process}; cat /workspace/file; uname -n"),
                             f"now\n{name}\n")
        alice.say("#agents", "bea: hi")
        alice.hears("bea", "#agents", "", ANSWER_SECONDS)
        ok("agent", "stop", "quick")
        done = fireclaw("agent", "start", "--from", "good")
        self.assertIn("there is an agent 'quick' already", done.stderr)
        ok("agent", "remove", "quick")
        ok("workspace", "remove", "quick")
        self.assertTrue(json.loads(ok("agent", "start", "--from", "good", "--json"))["online"])
        ok("gc")
        self.assertEqual(list(snapshots()), ["good"])
        ok("snapshot", "remove", "good")
        self.assertEqual(ok("agent", "exec", "ada", "echo well"), "well\n")

    def test_an_agent_whose_saved_memory_no_longer_fits_starts_again_from_its_disks_and_says_so(self) -> None:
        self.start("quick", "--model", "special")
        ok("agent", "exec", "quick", "echo work > /workspace/file; echo home > ~/file; sync")
        ok("agent", "snapshot", "quick", "old")
        manifest = Path(HOME, "snapshots", "old", "manifest.json")
        record = json.loads(manifest.read_text())
        record["engine_identity"] += " of another day"
        manifest.write_text(json.dumps(record))
        listed = snapshots()["old"]
        self.assertEqual((listed["usable"], listed["recoverable"]), (False, True))
        done = fireclaw("agent", "start", "--from", "old", "--name", "ada", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("started again from its disks", done.stderr)
        info = json.loads(done.stdout)
        self.assertTrue(info["online"], info)
        self.assertEqual((info["nick"], info["model"]), ("ada", "special"))
        self.assertEqual(ok("agent", "exec", "ada", "cat /workspace/file ~/file; uname -n"), "work\nhome\nada\n")
        self.assertIn("of another day", agent_status("ada")["notice"])
        ok("agent", "restart", "ada")
        self.assertEqual(agent_status("ada")["notice"], "")

    def test_a_damaged_or_cut_snapshot_is_refused(self) -> None:
        self.start("quick")
        name = json.loads(ok("agent", "snapshot", "quick", "--json"))["name"]
        self.assertRegex(name, r"^quick-\d{8}-\d{6}$")
        os.truncate(os.path.join(HOME, "snapshots", name, "workspace"), 4096)
        done = fireclaw("agent", "start", "--from", name, "--name", "ada")
        self.assertEqual(done.returncode, 125)
        self.assertIn("is not the file that was saved", done.stderr)
        self.assertEqual(list(agents()), ["quick"])


if __name__ == "__main__":
    crew.main()

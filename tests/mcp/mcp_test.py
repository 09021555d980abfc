"""`fireclaw mcp` as clients use it: real machines at the other end of a pipe."""

import base64
import json
import os
import signal
import subprocess
import time
import unittest
from pathlib import Path

from client import HOME, LIMIT_SECONDS, MEMORY_COUNTS, Client, command, machines, snapshots


class Commands(unittest.TestCase):
    def test_a_command_runs_in_a_machine_of_its_own_that_is_gone_afterwards(self) -> None:
        with Client() as client:
            result = client.use("run_command", command="uname -s; echo bad >&2; touch /here; exit 3")
            self.assertEqual((result["stdout"], result["stderr"], result["exit_code"]), ("Linux\n", "bad\n", 3))
            self.assertEqual(client.use("run_command", argv=["ls", "/here"])["exit_code"], 1)
            self.assertEqual(machines(), [])

    def test_stdin_environment_directory_and_user_reach_the_command(self) -> None:
        with Client() as client:
            result = client.use("run_command", command='cat; echo "$A"; pwd; id -un', stdin="text\n", env={"A": "1 2"},
                                cwd="/tmp", user="nobody")
            self.assertEqual(result["stdout"], "text\n1 2\n/tmp\nnobody\n")

    def test_a_timeout_is_told(self) -> None:
        with Client() as client:
            result = client.use("run_command", command="echo before; sleep 1000", timeout_seconds=1.5)
            self.assertEqual((result["timed_out"], result["stdout"]), (True, "before\n"))

    def test_much_output_is_cut_and_all_of_it_counted(self) -> None:
        with Client("--max-output", "4") as client:
            result = client.use("run_command", command="seq 100000")
            self.assertTrue(result["stdout"].startswith("1\n2\n"))
            self.assertTrue(result["stdout"].endswith("\n100000\n"))
            self.assertIn("bytes left out ...]", result["stdout"])
            self.assertLess(len(result["stdout"]), 4200)
            self.assertEqual(result["stdout_bytes"], 588895)
            self.assertTrue(result["truncated"])

    def test_output_that_is_no_text_does_not_break_the_line(self) -> None:
        with Client() as client:
            self.assertEqual(client.use("run_command", command=r"printf 'a\377b\0c\r\n'")["stdout"], "a\ufffdb\0c\r\n")

    def test_machines_have_no_network_unless_the_user_wants_one(self) -> None:
        with Client() as client:
            self.assertEqual(client.use("run_command", command="ls /sys/class/net")["stdout"], "lo\n")

    def test_two_calls_run_side_by_side(self) -> None:
        with Client() as client:
            client.use("create_machine", name="both")
            # Each waits for what the other does.
            wait = "until [ -e /%s ]; do sleep 0.05; done"
            first = client.start("run_command", machine="both", command=f"{wait % 'one'}; touch /two", timeout_seconds=60)
            second = client.start("run_command", machine="both", command=f"touch /one; {wait % 'two'}",
                                  timeout_seconds=60)
            answers = {answer["id"]: answer["result"]["structuredContent"]
                       for answer in (client.receive(), client.receive())}
            self.assertEqual(set(answers), {first, second})
            self.assertEqual([answer["exit_code"] for answer in answers.values()], [0, 0])

    def test_a_cancelled_command_ends_and_is_not_answered(self) -> None:
        with Client() as client:
            client.use("create_machine", name="m")
            request = client.start("run_command", machine="m", command="touch /up; sleep 1000")
            client.use("run_command", machine="m", command="until [ -e /up ]; do sleep 0.05; done")
            client.notify("notifications/cancelled", {"requestId": request, "reason": "test"})
            running = client.use("run_command", machine="m", timeout_seconds=30,
                                 command="while pidof sleep; do usleep 50000; done > /dev/null; echo gone")
            self.assertEqual(running["stdout"], "gone\n")

    def test_a_cancelled_command_takes_its_own_machine_with_it(self) -> None:
        with Client() as client:
            request = client.request("tools/call", {"name": "run_command", "arguments": {"command": "echo up; sleep 1000"},
                                                    "_meta": {"progressToken": "p"}})
            self.assertEqual(client.receive()["params"]["message"], "up\n")
            self.assertEqual(len(machines()), 1)
            client.notify("notifications/cancelled", {"requestId": request})
            end = time.monotonic() + 30
            while machines() and time.monotonic() < end:
                time.sleep(0.05)
            self.assertEqual(machines(), [])
            self.assertIn("result", client.ask("ping"))

    def test_output_is_told_as_it_appears(self) -> None:
        with Client() as client:
            client.use("create_machine", name="m")
            request = client.request(
                "tools/call", {"name": "run_command", "_meta": {"progressToken": 5},
                               "arguments": {"machine": "m", "command": "echo one; read x < /fifo; echo $x"}})
            # The pipe is there only when the first line has come.
            self.assertEqual(client.receive()["params"], {"progressToken": 5, "progress": 4, "message": "one\n"})
            client.notify("notifications/cancelled", {"requestId": request})

    def test_a_silent_command_is_said_to_be_under_way(self) -> None:
        with Client() as client:
            request = client.request("tools/call", {"name": "run_command", "_meta": {"progressToken": "p"},
                                                    "arguments": {"command": "sleep 1000"}})
            told = [client.receive()["params"] for _ in range(2)]
            for progress in told:
                self.assertIn("still under way", progress["message"])
            self.assertLess(told[0]["progress"], told[1]["progress"])
            client.notify("notifications/cancelled", {"requestId": request})

    def test_a_command_that_a_snapshot_ends_says_so(self) -> None:
        with Client() as client:
            client.use("create_machine", name="m")
            request = client.request("tools/call", {"name": "run_command", "_meta": {"progressToken": "p"},
                                                    "arguments": {"machine": "m", "command": "echo up; sleep 1000"}})
            self.assertEqual(client.receive()["params"]["message"], "up\n")
            other = client.start("fork_machine", machine="m")
            answers = {}
            while set(answers) != {request, other}:
                message = client.receive()
                if "result" in message:
                    answers[message["id"]] = message["result"]
            self.assertTrue(answers[request]["isError"])
            self.assertIn("ended by fork_machine", answers[request]["content"][0]["text"])
            self.assertFalse(answers[other]["isError"])


class Machines(unittest.TestCase):
    def test_a_machine_keeps_what_is_in_it(self) -> None:
        with Client() as client:
            self.assertEqual(client.use("create_machine", name="work")["memory_mib"], 128)
            client.use("run_command", machine="work", command="echo kept > /file; hostname > /name")
            self.assertEqual(client.use("run_command", machine="work", command="cat /file /name")["stdout"],
                             "kept\nwork\n")
            self.assertEqual([machine["name"] for machine in client.use("list_machines")["machines"]], ["work"])
            self.assertEqual([machine["hostname"] for machine in machines()], ["work"])
            self.assertIn("Linux version", client.use("read_console", machine="work")["console"]
                          + client.use("run_command", machine="work", command="cat /proc/version")["stdout"])
            client.use("remove_machine", machine="work")
            self.assertEqual(machines(), [])
            self.assertIn("'work'", client.failure("run_command", machine="work", command="true"))

    def test_what_cannot_be_is_the_tools_failure(self) -> None:
        with Client("--max-memory", "256M") as client:
            self.assertIn("host name", client.failure("create_machine", name="no/name"))
            self.assertIn("image", client.failure("create_machine", image="no-such-image"))
            self.assertIn("at most 256", client.failure("create_machine", memory_mib=512))
            self.assertEqual(client.use("list_machines"), {"machines": []})
            self.assertEqual(client.use("list_images")["images"][0]["name"], "busybox")
            self.assertEqual(machines(), [])

    def test_forks_share_their_past_and_nothing_else(self) -> None:
        before = snapshots()
        with Client() as client:
            client.use("create_machine", name="trunk")
            client.use("run_command", machine="trunk", command="echo common > /file; cat /etc/machine-id > /old")
            made = client.use("fork_machine", machine="trunk", names=["left", "right"])["machines"]
            self.assertEqual([machine["name"] for machine in made], ["left", "right"])
            client.use("run_command", machine="left", command="echo left >> /file")
            contents = {name: client.use("run_command", machine=name, command="cat /file")["stdout"]
                        for name in ("trunk", "left", "right")}
            self.assertEqual(contents, {"trunk": "common\n", "left": "common\nleft\n", "right": "common\n"})
            identities = {client.use("run_command", machine=name, command="cat /etc/machine-id")["stdout"]
                          for name in ("trunk", "left", "right")}
            self.assertEqual(len(identities), 3)
            self.assertEqual(client.use("run_command", machine="left", command="hostname")["stdout"], "left\n")
            self.assertEqual(snapshots(), before)

    def test_a_snapshot_outlives_its_machine_and_the_connection(self) -> None:
        with Client() as client:
            client.use("create_machine", name="m")
            client.use("run_command", machine="m", command="echo saved > /file")
            self.assertIn("'../x'", client.failure("save_snapshot", machine="m", name="../x").replace("mcp.", ""))
            saved = client.use("save_snapshot", machine="m", name="state")
            self.assertGreater(saved["bytes"], 0)
            client.use("run_command", machine="m", command="echo later > /file")
            self.assertIn("delete_snapshot", client.failure("save_snapshot", machine="m", name="state"))
        self.assertIn("mcp.state", snapshots())
        try:
            with Client() as client:
                self.assertEqual([s["name"] for s in client.use("list_snapshots")["snapshots"]], ["state"])
                self.assertEqual(client.use("restore_snapshot", snapshot="state", name="again")["name"], "again")
                self.assertEqual(client.use("run_command", machine="again", command="cat /file")["stdout"], "saved\n")
                for name in snapshots():
                    if not name.startswith("mcp."):
                        self.assertIn("no snapshot", client.failure("delete_snapshot", name=name))
                client.use("delete_snapshot", name="state")
                self.assertEqual(client.use("run_command", machine="again", command="cat /file")["stdout"], "saved\n")
        finally:
            subprocess.run(command("snapshot", "remove", "mcp.state"), capture_output=True, timeout=LIMIT_SECONDS)


class Files(unittest.TestCase):
    client: Client

    @classmethod
    def setUpClass(cls) -> None:
        cls.client = Client()
        cls.client.use("create_machine", name="m")

    @classmethod
    def tearDownClass(cls) -> None:
        cls.client.close()

    def test_text_comes_back_as_it_went(self) -> None:
        text = "first\n\ttab \"quoted\" 'and' $HOME `id` äöü 🔥\nno line end"
        path = "/new/folder with spaces/-file '\"$(x)"
        written = self.client.use("write_file", machine="m", path=path, content=text)
        self.assertEqual(written["size"], len(text.encode()))
        read = self.client.use("read_file", machine="m", path=path)
        self.assertEqual((read["content"], read["truncated"]), (text, False))

    def test_bytes_come_back_as_they_went(self) -> None:
        data = bytes(range(256)) * 4000
        self.client.use("write_file", machine="m", path="/bytes", content=base64.b64encode(data).decode(),
                        encoding="base64", mode="0750")
        read = self.client.use("read_file", machine="m", path="/bytes", encoding="base64")
        self.assertEqual(base64.b64decode(read["content"]), data)
        self.assertIn("base64", self.client.failure("read_file", machine="m", path="/bytes"))
        self.assertEqual(self.client.use("run_command", machine="m", command="stat -c %a /bytes")["stdout"], "750\n")
        self.assertIn("not base64", self.client.failure("write_file", machine="m", path="/x", content="?",
                                                        encoding="base64"))

    def test_a_file_is_appended_to_and_read_in_parts(self) -> None:
        for part in ("ab", "cdä", "f"):
            self.client.use("write_file", machine="m", path="/parts", content=part, append=True)
        read = self.client.use("read_file", machine="m", path="/parts", offset=1, max_bytes=4)
        # The character that the end would tear apart comes with the next part.
        self.assertEqual((read["content"], read["read_bytes"], read["size"], read["truncated"]), ("bcd", 3, 7, True))
        read = self.client.use("read_file", machine="m", path="/parts", offset=4)
        self.assertEqual((read["content"], read["truncated"]), ("äf", False))
        self.assertEqual(self.client.use("read_file", machine="m", path="/parts", offset=100)["content"], "")

    def test_what_cannot_be_read_or_written_says_why(self) -> None:
        self.assertIn("no such file", self.client.failure("read_file", machine="m", path="/none"))
        self.assertIn("not a file", self.client.failure("read_file", machine="m", path="/etc"))
        self.assertIn("absolute", self.client.failure("read_file", machine="m", path="etc/passwd"))
        self.assertIn("NUL", self.client.failure("read_file", machine="m", path="/a\0b"))
        self.assertIn("NUL", self.client.failure("run_command", machine="m", command="echo a\0b"))
        self.assertIn("NUL", self.client.failure("run_command", machine="m", command="true", env={"A": "a\0b"}))
        self.assertIn("/etc", self.client.failure("write_file", machine="m", path="/etc", content=""))
        self.assertIn("ermission", self.client.failure("write_file", machine="m", path="/etc/x", content="",
                                                       user="nobody"))
        self.assertIn("octal", self.client.failure("write_file", machine="m", path="/x", content="", mode="a+s"))
        self.assertIn("1048576", self.client.failure("write_file", machine="m", path="/x", content="x" * 1048577))
        self.assertIn("no such file", self.client.failure("list_directory", machine="m", path="/none"))

    def test_a_write_that_fails_leaves_what_was_there(self) -> None:
        run = lambda text: self.client.use("run_command", machine="m", command=text)["stdout"]  # noqa: E731
        run("mkdir /small && mount -t tmpfs -o size=64k none /small && cd /small && printf old > f && chmod 640 f && "
            "chown 7:8 f && ln -s f link && ln f hard && mkfifo pipe")
        self.assertIn("space", self.client.failure("write_file", machine="m", path="/small/f", content="n" * 100_000))
        self.assertIn("space", self.client.failure("write_file", machine="m", path="/small/f", content="n" * 100_000,
                                                   append=True))
        self.assertEqual(run("cat /small/f; ls -A /small"), "oldf\nhard\nlink\npipe\n")
        self.client.use("write_file", machine="m", path="/small/link", content="new")
        self.assertEqual(run("cd /small; cat f hard; readlink link; stat -c '%a %u:%g' f"), "newnewf\n640 7:8\n")
        self.client.use("write_file", machine="m", path="/small/fresh", content="x")
        self.assertEqual(run("stat -c %a /small/fresh"), "644\n")
        run("umount /small")

    def test_output_that_is_not_utf8_is_there_byte_for_byte(self) -> None:
        answer = self.client.use("run_command", machine="m", command="printf 'a\\377\\342\\200\\250'; printf text >&2")
        self.assertEqual(base64.b64decode(answer["stdout_base64"]), b"a\xff\xe2\x80\xa8")
        self.assertEqual((answer["stdout"], answer["stderr"]), ("a\ufffd\u2028", "text"))
        self.assertNotIn("stderr_base64", answer)

    def test_files_are_reached_where_no_shell_is(self) -> None:
        with Client() as client:
            client.use("create_machine", name="bare")
            client.use("run_command", machine="bare", command="rm -f /bin/sh /bin/cat /bin/stat /usr/bin/stat")
            client.use("write_file", machine="bare", path="/tmp/f", content="kept")
            self.assertEqual(client.use("read_file", machine="bare", path="/tmp/f")["content"], "kept")
            names = [entry["name"] for entry in client.use("list_directory", machine="bare", path="/tmp")["entries"]]
            self.assertEqual(names, ["f"])

    def test_a_file_that_the_kernel_makes_up_is_read(self) -> None:
        self.assertIn("processor", self.client.use("read_file", machine="m", path="/proc/cpuinfo")["content"])

    def test_a_directory_is_listed_whatever_its_files_are_called(self) -> None:
        self.client.use("run_command", machine="m", command=r"""
            mkdir -p /d/sub && cd /d && printf abc > .hidden && ln -s nowhere link && mkfifo pipe && : > -n
            touch "$(printf 'new\nline')" '* ?' && chmod 4711 .hidden && touch -d '2001-02-03 04:05:06' sub""")
        listed = self.client.use("list_directory", machine="m", path="/d")
        entries = {entry.pop("name"): entry for entry in listed["entries"]}
        self.assertEqual(set(entries), {".hidden", "link", "pipe", "-n", "new\nline", "* ?", "sub"})
        self.assertEqual((entries[".hidden"]["type"], entries[".hidden"]["size"], entries[".hidden"]["mode"]),
                         ("file", 3, "4711"))
        self.assertEqual([entries[name]["type"] for name in ("link", "pipe", "sub")], ["link", "other", "directory"])
        self.assertEqual(entries["sub"]["modified"], "2001-02-03T04:05:06Z")
        self.client.use("run_command", machine="m", command="mkdir /empty /many && cd /many && touch $(seq 1100)")
        self.assertEqual(self.client.use("list_directory", machine="m", path="/empty")["entries"], [])
        many = self.client.use("list_directory", machine="m", path="/many")
        self.assertEqual((len(many["entries"]), many["truncated"]), (1000, True))


class Connection(unittest.TestCase):
    def test_garbage_is_answered_and_harms_nobody(self) -> None:
        with Client(version=None) as client:
            client.write(b"\x00\xff garbage\n{\n\n[[[[\n" + b"[" * 100_000 + b"\n")
            for _ in range(4):
                self.assertEqual(client.receive()["error"]["code"], -32700)
            client.write(b"[" + b"1," * 400_000 + b"1]\n")
            self.assertEqual(client.receive()["error"]["code"], -32600)
            status = Path(f"/proc/{client.process.pid}/status").read_text()
            if MEMORY_COUNTS:
                self.assertLess(int(status.partition("VmHWM:")[2].split()[0]), 100 << 10)
            client.write(b"x" * (9 << 20) + b"\n")
            self.assertEqual(client.receive()["error"]["code"], -32600)
            client.write(b'{"jsonrpc":"2.0","id":"a","method":"tools/call"}\n')
            self.assertEqual(client.receive()["error"]["code"], -32602)
            answer = client.ask("initialize", {"protocolVersion": "2024-11-05", "capabilities": {},
                                               "clientInfo": {"name": "t", "version": "0"}})
            self.assertEqual(answer["result"]["protocolVersion"], "2024-11-05")
            self.assertEqual(client.ask("nonsense")["error"]["code"], -32601)
            self.assertEqual(client.close(), 0)

    def end_with_work_to_do(self, end: str) -> None:
        client = Client()
        client.use("create_machine", name="kept")
        client.start("run_command", machine="kept", command="trap '' TERM; sleep 1000")
        request = client.request("tools/call", {"name": "run_command", "_meta": {"progressToken": 1},
                                                "arguments": {"command": "trap '' TERM; echo up; sleep 1000"}})
        self.assertEqual(client.receive()["params"]["message"], "up\n", request)
        engines = [machine["engine_pid"] for machine in machines()]
        self.assertEqual(len(engines), 2)
        began = time.monotonic()
        if end == "SIGTERM":
            client.process.send_signal(signal.SIGTERM)
            self.assertEqual(client.process.wait(LIMIT_SECONDS), 0)
        # Clients kill a server that is not gone two seconds after its input was closed; this machine may be slow.
        self.assertEqual(client.close(), 0)
        self.assertLess(time.monotonic() - began, 10)
        self.assertEqual(machines(), [])
        for engine in engines:
            self.assertFalse(Path(f"/proc/{engine}").exists())
        self.assertEqual(os.listdir(Path(HOME, "runs")), [])
        self.assertIsNone(client.receive())

    def test_the_end_of_input_ends_everything(self) -> None:
        self.end_with_work_to_do("EOF")

    def test_a_signal_ends_everything(self) -> None:
        self.end_with_work_to_do("SIGTERM")

    def test_a_client_that_is_gone_ends_everything(self) -> None:
        process = subprocess.Popen(command("mcp"), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL)
        assert process.stdin is not None and process.stdout is not None
        process.stdout.close()
        process.stdin.write(b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n')
        process.stdin.flush()
        self.assertEqual(process.wait(LIMIT_SECONDS), 0)
        process.stdin.close()

    def test_a_client_that_reads_nothing_does_not_keep_it_from_ending(self) -> None:
        process = subprocess.Popen(command("mcp"), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL)
        assert process.stdin is not None and process.stdout is not None
        # More answers than a pipe holds.
        process.stdin.write(b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n' * 3000)
        process.stdin.flush()
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(LIMIT_SECONDS), 0)
        process.stdin.close()
        process.stdout.close()

    def test_log_messages_go_to_standard_error_and_to_who_asked(self) -> None:
        client = Client()
        client.ask("logging/setLevel", {"level": "warning"})
        client.failure("create_machine", image="no-such-image")
        client.close()
        told = [message["params"] for message in client.notifications if message["method"] == "notifications/message"]
        self.assertTrue(any("no-such-image" in params["data"] for params in told), told)

    def test_what_makes_no_sense_on_the_command_line_is_refused(self) -> None:
        for words in (("--net", "wireless"), ("--allow", "example.org"), ("--image", "no-such-image"), ("--machines", "0"),
                      ("--timeout", "soon"), ("surplus",), ("--no-such-option",)):
            result = subprocess.run(command("mcp", *words), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                    timeout=LIMIT_SECONDS)
            self.assertEqual((result.returncode, result.stdout), (125, ""), words)
            self.assertTrue(result.stderr.startswith("fireclaw-mcp: "), result.stderr)

    def test_help_has_a_snippet_that_is_json(self) -> None:
        result = subprocess.run(command("mcp", "--help"), capture_output=True, text=True, timeout=LIMIT_SECONDS)
        self.assertEqual(result.returncode, 0)
        snippet = next(line for line in result.stdout.splitlines() if "mcpServers" in line)
        self.assertEqual(json.loads(snippet)["mcpServers"]["fireclaw"], {"command": "fireclaw", "args": ["mcp"]})


if __name__ == "__main__":
    unittest.main()

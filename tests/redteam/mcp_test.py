"""A client of `fireclaw mcp` that wants more of the server than its share, and a machine that lies to it."""

from __future__ import annotations

import json
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "mcp"))
from client import MEMORY_COUNTS, Client  # noqa: E402

MIB = 1 << 20


@unittest.skipUnless(MEMORY_COUNTS, "the sanitizer's memory is counted too")
class Amplification(unittest.TestCase):
    def client(self, *options: str, version: str = "2025-03-26") -> Client:
        made = Client("--net", "none", *options, version=version)
        self.addCleanup(made.close)
        return made

    def peak_mib(self, client: Client) -> int:
        status = Path(f"/proc/{client.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) >> 10

    def check_well(self, client: Client, most_mib: int = 96) -> None:
        self.assertEqual(client.ask("ping")["result"], {})
        self.assertLess(self.peak_mib(client), most_mib)

    def refused(self, client: Client, line: bytes) -> None:
        client.write(line + b"\n")
        answer = client.receive()
        self.assertIn("error", answer)
        self.assertLess(len(json.dumps(answer)), 4000)

    def test_a_batch_gets_one_short_answer(self) -> None:
        client = self.client()
        self.refused(client, b"[" + b",".join([b"1"] * 400_000) + b"]")
        self.refused(client, b"[" + b",".join([b'{"jsonrpc":"2.0","id":1,"method":"ping"}'] * 50_000) + b"]")
        self.check_well(client)

    def test_lines_of_any_size_and_shape_get_one_short_answer(self) -> None:
        client = self.client()
        call = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"run_command","arguments":%s}}'
        for line in (b'"' + b"a" * (7 * MIB) + b'"', b"[" * (3 * MIB), b'{"a":' * (1 * MIB), call % (b"[" + b"0," * (2 * MIB) + b"0]"),
                     b"\xff" * (7 * MIB), b'{"jsonrpc":"2.0","id":"' + b"i" * (6 * MIB) + b'","method":"ping"}',
                     b'{"jsonrpc":"2.0","id":1,"method":"' + b"m" * (6 * MIB) + b'"}'):
            self.refused(client, line)
        # Longer than any line may be, and never at its end until then.
        for _ in range(64):
            client.write(b"x" * MIB)
        self.refused(client, b"")
        self.check_well(client)

    def test_subscriptions_hold_nothing(self) -> None:
        client = self.client()
        for number in range(3000):
            client.send({"jsonrpc": "2.0", "id": f"s{number}", "method": "resources/subscribe",
                         "params": {"uri": f"file:///{number}/" + "u" * 2000}})
        for _ in range(3000):
            self.assertIn("error", client.receive())
        self.check_well(client)

    def test_calls_that_wait_hold_no_more_than_they_may_together(self) -> None:
        client = self.client("--calls", "1")
        content = "c" * (900 << 10)
        for number in range(200):
            client.send({"jsonrpc": "2.0", "id": f"w{number}", "method": "tools/call",
                         "params": {"name": "write_file", "arguments": {"machine": "none", "path": "/f", "content": content}}})
        failed = [client.receive() for _ in range(200)]
        self.assertEqual(len({answer["id"] for answer in failed}), 200)
        self.check_well(client, 256)


class Lies(unittest.TestCase):
    def test_a_machine_does_not_decide_how_much_of_a_file_its_client_gets(self) -> None:
        client = Client("--net", "none")
        self.addCleanup(client.close)
        client.use("create_machine", name="liar")
        script = ("#!/bin/busybox ash\necho 3 >&2\n/bin/busybox dd if=/dev/zero bs=1048576 count=30 2>/dev/null | "
                  "/bin/busybox tr '\\000' A\n")
        client.use("write_file", machine="liar", path="/tmp/sh", content=script, mode="0755")
        client.use("write_file", machine="liar", path="/tmp/f", content="x" * 3000)
        client.use("run_command", machine="liar",
                   command="for p in sh cat head tail stat base64 dd; do rm -f /bin/$p; cp /tmp/sh /bin/$p; done; "
                           "mkdir /tmp/many; cd /tmp/many; i=0; while [ $i -lt 3000 ]; do : >$i; i=$((i + 1)); done")
        answer = client.call("read_file", machine="liar", path="/tmp/f", max_bytes=16)
        self.assertLess(len(json.dumps(answer)), 4000)
        self.assertIn("x" * 16, json.dumps(answer))
        # A file that has no end.
        self.assertLess(len(json.dumps(client.call("read_file", machine="liar", path="/dev/zero", max_bytes=1000))), 20000)

    def test_limits_hold_for_what_was_saved_under_others(self) -> None:
        large = Client("--net", "none", "--memory", "192M", "--max-memory", "192M")
        self.addCleanup(large.close)
        large.use("create_machine", name="large")
        large.use("save_snapshot", machine="large", name="past")
        small = Client("--net", "none", "--max-memory", "128M")
        self.addCleanup(small.close)
        answer = small.call("restore_snapshot", snapshot="past")
        large.call("delete_snapshot", name="past")
        self.assertTrue(answer["isError"], answer)
        self.assertIn("started with other limits", json.dumps(answer))


if __name__ == "__main__":
    unittest.main()

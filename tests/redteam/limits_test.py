"""A guest that wants more of the host than it was given, and starts that want more than there is."""

from __future__ import annotations

import json
import subprocess
import unittest
from pathlib import Path
from typing import Any

from redteam import FIRECLAW, HOME, LIMIT_SECONDS, Attempt, Result, fireclaw

CONFIG = Path(HOME, "config.json")
# The image's disk, past the guest's own cache, for four seconds: how often 64 KiB, from when, until when.
READ_ON = ("n=0; a=$(cut -d' ' -f1 /proc/uptime); t=$(date +%s); while [ $(($(date +%s) - t)) -lt 4 ]; do "
           "dd if=/dev/vda of=/dev/null bs=64k count=24 iflag=direct 2>/dev/null; n=$((n + 24)); done; "
           "echo $n $a $(cut -d' ' -f1 /proc/uptime)")
# Of a disk that may pass 1 MiB in a second, and at once what it has not used before.
MOST_MIB = 1.8


class Limits(Attempt):
    def setUp(self) -> None:
        super().setUp()
        before = CONFIG.read_text()
        self.addCleanup(CONFIG.write_text, before)
        self.config = json.loads(before)

    def configure(self, **sections: Any) -> None:
        CONFIG.write_text(json.dumps({**self.config, **sections}))

    def runs(self) -> set[str]:
        return {entry.name for entry in Path(HOME, "runs").iterdir()}

    def refused(self, *words: str) -> str:
        """What is said, of a start that leaves nothing."""
        before = self.runs()
        said = fireclaw("run", *words, "true")
        self.assertEqual((said.returncode, said.stdout), (125, b""), said.stderr)
        self.assertEqual(self.runs(), before)
        return said.stderr.decode()

    def mib_read_in_a_second(self, *options: str) -> float:
        said = fireclaw("run", *options, READ_ON)
        self.assertEqual(said.returncode, 0, said.stderr)
        pieces, begin, end = (float(word) for word in said.stdout.split())
        return pieces / 16 / (end - begin)

    def test_a_restored_machine_reads_no_faster_than_it_may(self) -> None:
        self.assertLess(self.mib_read_in_a_second("--disk-rate", "1M"), MOST_MIB)
        self.configure(limits={"disk_mib_per_second": 1})
        self.assertLess(self.mib_read_in_a_second(), MOST_MIB)
        free = self.mib_read_in_a_second("--disk-rate", "1G")
        if free < 2 * MOST_MIB:
            self.skipTest(f"this host is too busy to tell: {free:.1f} MiB a second without a limit")

    def test_neither_does_one_that_boots_write_faster(self) -> None:
        line = "dd if=/dev/zero of=/scratch/x bs=64k count=64 conv=fsync 2>/dev/null; date +%s"
        said = fireclaw("run", "--scratch", "32M", "--disk-rate", "1M", f"date +%s; {line}")
        self.assertEqual(said.returncode, 0, said.stderr)
        begin, end = (int(word) for word in said.stdout.split())
        self.assertGreaterEqual(end - begin, 2)

    def test_rates_that_cannot_be_are_refused(self) -> None:
        self.assertIn("1 to 1048576", self.refused("--disk-rate", "1025G"))
        self.assertIn("go with --net nat", self.refused("--net", "none", "--net-rate", "1M"))

    def test_what_is_too_much_is_refused_with_the_numbers(self) -> None:
        self.configure(limits={"memory_mib": 200})
        said = self.refused("--memory", "201")
        self.assertIn("201 MiB of memory", said)
        self.assertIn("limit is 200", said)
        self.configure(limits={"disk_mib": 100})
        self.assertIn("limit is 100", self.refused("--scratch", "101M"))
        self.configure()
        self.assertIn("MiB of memory, and this host has", self.refused("--memory", "1024G"))

    def test_of_starts_at_once_no_more_are_let_in_than_may_be(self) -> None:
        self.configure(limits={"machines": 2})
        words = [FIRECLAW, "--home", HOME, "run", "echo in; cat"]
        starts = [subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                  for _ in range(5)]
        # Those that are in stay until all others have been answered.
        answers = [start.stdout.readline() if start.stdout else b"" for start in starts]
        ended = [start.communicate(timeout=LIMIT_SECONDS) for start in starts]
        self.assertEqual(sorted(answers), [b""] * 3 + [b"in\n"] * 2, ended)
        for (_, complaint), answer in zip(ended, answers):
            self.assertEqual(b"2 machines run, and this home folder's limit is 2" in complaint, answer == b"")

    def test_emulation_can_be_refused_and_then_is_only_had_by_name(self) -> None:
        works = {entry["engine"] for entry in self.config["engines"] if entry["works"]}
        if works != {"qemu-tcg"}:
            self.skipTest(f"works here: {works}")
        self.configure(emulation="refuse")
        self.assertIn("config.json refuses emulation", self.refused())
        named: Result[bytes] = fireclaw("--engine", "qemu-tcg", "run", "echo by name")
        self.assertEqual((named.returncode, named.stdout), (0, b"by name\n"), named.stderr)

    def test_doctor_says_what_it_saw_of_each_engine_that_it_started(self) -> None:
        said = fireclaw("doctor", "--json")
        seen = {check["name"]: check["detail"] for check in json.loads(said.stdout)["checks"]}
        for entry in self.config["engines"]:
            if not entry["works"]:
                continue
            detail = seen[f"sandbox of {entry['engine']}"]
            self.assertIn("no capabilities", detail)
            self.assertIn("seccomp", detail)
        for name in ("cgroups of machines", "swap", "merging of memory (KSM)", "processor threads (SMT)"):
            self.assertIn(name, seen)


if __name__ == "__main__":
    unittest.main()

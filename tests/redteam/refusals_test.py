"""A machine that floods the gateway with what is refused fills neither the log nor the CPU, and hides nobody else's."""

from __future__ import annotations

import json
import os
import sys
import time
import unittest
from pathlib import Path
from typing import Any, Dict, List

INSIDE = "FIRECLAW_TEST_INSIDE"
if os.geteuid() != 0:
    print("skipped: only root can make a network namespace with a bridge in it")
    raise SystemExit(77)
if INSIDE not in os.environ:
    os.environ[INSIDE] = "1"
    os.execvp("unshare", ["unshare", "--net", sys.executable, *sys.argv])

import redteam  # noqa: E402

ATTEMPTS = 300
FLOOD = f"""
i=0
while [ $i -lt {ATTEMPTS} ]; do
  nslookup secret-$i.example.org 172.16.0.1 > /dev/null 2>&1
  nc -w 1 172.16.0.1 $((1000 + i)) < /dev/null > /dev/null 2>&1
  i=$((i + 1))
done
echo flooded
"""
CLOSED = ("--net", "nat", "--egress", "none")


def status() -> Dict[str, Any]:
    info: Dict[str, Any] = json.loads(redteam.fireclaw("gateway", "status", "--json").stdout)
    return info


def log() -> List[Dict[str, Any]]:
    lines: List[Dict[str, Any]] = json.loads(redteam.fireclaw("network", "log", "-n", "100000", "--json").stdout)
    return lines


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Refusals(unittest.TestCase):
    def tearDown(self) -> None:
        redteam.fireclaw("network", "down")

    def test_a_flood_of_refusals_is_counted_and_has_few_lines(self) -> None:
        up = redteam.fireclaw("network", "up")
        self.assertEqual(up.returncode, 0, up.stderr)
        seen = len(log())
        began = time.monotonic()
        flood = redteam.fireclaw("run", *CLOSED, FLOOD)
        took = time.monotonic() - began
        self.assertIn(b"flooded", flood.stdout, flood.stderr)
        lines = log()[seen:]
        self.assertEqual(len({line["vm"] for line in lines}), 1)
        self.assertGreater(len(lines), 5)
        self.assertLessEqual(len(lines), 30 + took / 2 + 1)
        self.assertGreater(sum(line["unwritten"] for line in lines), 0)
        info = status()
        counts = {refusal["by"]: refusal["count"] for refusal in info["refusals"] if refusal["name"] == lines[0]["vm"]}
        self.assertGreaterEqual(counts["names"], ATTEMPTS)
        self.assertLessEqual(counts["firewall"], 20 + 5 * took + 1)
        self.assertLess(cpu_seconds(info["pid"]), took / 4 + 1)

        other = redteam.fireclaw("run", *CLOSED, "nslookup other.example.org 172.16.0.1; true")
        self.assertEqual(other.returncode, 0, other.stderr)
        self.assertEqual({line["name"] for line in log()[seen:] if line["vm"] != lines[0]["vm"]} & {"other.example.org"},
                         {"other.example.org"})


if __name__ == "__main__":
    unittest.main()

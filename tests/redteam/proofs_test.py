"""Each promise of SECURITY.md names suites that there are."""

from __future__ import annotations

import json
import os
import re
import subprocess
import unittest
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "SECURITY.md"


def rows() -> dict[str, list[str]]:
    section = PAGE.read_text().split("## What proves it", 1)[1].split("\n## ", 1)[0]
    cells = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| ")]
    return {promise: re.findall(r"`(\w+)`", suites) for promise, suites in cells[2:]}


class Proofs(unittest.TestCase):
    def test_all_suites_that_are_named_are_in_the_test_run(self) -> None:
        listing = subprocess.run(["ctest", "--test-dir", os.environ["FIRECLAW_BUILD"], "--show-only=json-v1"], check=True,
                                 capture_output=True)
        known = {test["name"] for test in json.loads(listing.stdout)["tests"]}
        self.assertGreater(len(rows()), 10)
        for promise, suites in rows().items():
            self.assertNotEqual(suites, [], promise)
            self.assertEqual([suite for suite in suites if suite not in known], [], promise)


if __name__ == "__main__":
    unittest.main()

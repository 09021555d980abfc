"""What attempts share: the program, a home folder that was set up, and a folder with a victim beside the job."""

from __future__ import annotations

import os
import subprocess
import tempfile
import unittest
from pathlib import Path
from typing import Optional

FIRECLAW = os.environ["FIRECLAW_PROGRAM"]
HOME = os.environ.get("FIRECLAW_TEST_HOME") or os.environ["FIRECLAW_BUILD_HOME"]
LIMIT_SECONDS = 120
# Tests change nothing in the network namespace that they are started in.
os.environ["FIRECLAW_NET"] = "none"

Result = subprocess.CompletedProcess  # of bytes


def fireclaw(*words: str, cwd: Optional[Path] = None, umask: int = -1) -> "Result[bytes]":
    common = [FIRECLAW, "--home", HOME]
    if engine := os.environ.get("FIRECLAW_TEST_ENGINE"):
        common += ["--engine", engine]
    return subprocess.run([*common, *words], stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT_SECONDS,
                          cwd=cwd, umask=umask)


class Attempt(unittest.TestCase):
    """Each test has a folder `job`, which the guest's files go to, and beside it `victim`, which nothing may reach."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="fireclaw-redteam-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.job = self.folder / "job"
        self.victim = self.folder / "victim"
        self.job.mkdir()
        self.victim.mkdir()
        (self.victim / "file").write_text("untouched")

    def tearDown(self) -> None:
        self.assertEqual([entry.name for entry in self.victim.iterdir()], ["file"])
        self.assertEqual((self.victim / "file").read_text(), "untouched")
        unfinished = [entry for entry in self.folder.rglob(".fireclaw-*")]
        self.assertEqual(unfinished, [], "copies leave nothing unfinished behind")

    def run_in_guest(self, line: str, *options: str, umask: int = -1) -> "Result[bytes]":
        return fireclaw("run", *options, line, cwd=self.job, umask=umask)

    def copy_out(self, line: str, *copies: str) -> "Result[bytes]":
        """Runs the line in a guest, then copies: sources and targets with a colon between, and other options."""
        options = [word for copy in copies for word in ((copy,) if copy.startswith("-") else ("--copy-out", copy))]
        return self.run_in_guest(line, *options)

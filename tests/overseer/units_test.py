"""The unit files that are installed, judged by systemd's own tools, which need no systemd that runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path
from typing import List

PROGRAM = os.environ["FIRECLAW_OVERSEER"]
# In tenths of systemd's points, of which fewer are better; none of this confinement would be 96.
MOST_EXPOSED = {"fireclaw-overseer": 60, "fireclaw-irc": 52}


class Units(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = tempfile.mkdtemp(prefix="fireclaw-units-")
        self.addCleanup(shutil.rmtree, self.folder)
        # A home that has to be quoted.
        self.home = os.path.join(self.folder, "my home, 100%")
        os.mkdir(self.home)

    def write(self, *options: str) -> List[str]:
        folder = os.path.join(self.folder, "units")
        for which in ([], ["irc"]):
            subprocess.run([PROGRAM, "--home", self.home, *which, "install", "--no-enable", "--unit-folder", folder, *options],
                           check=True, stdout=subprocess.DEVNULL)
        return sorted(str(path) for path in Path(folder).glob("*.service"))

    def verify(self, files: List[str], *options: str) -> str:
        runtime = os.path.join(self.folder, "runtime")
        os.makedirs(runtime, 0o700, exist_ok=True)
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", *options, *files], capture_output=True, text=True,
                              env={**os.environ, "XDG_RUNTIME_DIR": runtime})
        return done.stdout + done.stderr + ("" if done.returncode == 0 else f"status {done.returncode}")

    def test_systemd_finds_nothing_wrong_with_them(self) -> None:
        files = self.write()
        self.assertEqual([os.path.basename(file) for file in files], ["fireclaw-irc.service", "fireclaw-overseer.service"])
        self.assertEqual(self.verify(files), "")

    def test_nor_with_those_for_ones_own_manager(self) -> None:
        self.assertEqual(self.verify(self.write("--user"), "--user"), "")

    def test_what_is_wrong_would_be_found(self) -> None:
        file = self.write()[0]
        Path(file).write_text(Path(file).read_text().replace("NoNewPrivileges=", "NoNewPriviliges="))
        self.assertIn("NoNewPriviliges", self.verify([file]))

    def test_they_are_as_confined_as_they_were(self) -> None:
        for file in self.write():
            most = MOST_EXPOSED[Path(file).stem]
            done = subprocess.run(["systemd-analyze", "security", "--offline=yes", "--no-pager", f"--threshold={most}", file],
                                  capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stdout[-200:] + done.stderr)


if __name__ == "__main__":
    if shutil.which("systemd-analyze") is None:
        print("skipped: systemd-analyze is not installed")
        raise SystemExit(77)
    unittest.main(verbosity=2)

#!/usr/bin/python3
"""No program, library or module takes libraries from the folder that it is called in.

usage: search_path_test.py BUILD-FOLDER CC [unittest arguments]
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from packages import output
from search_paths import binaries, open_entries

BUILD, CC = Path(), ""
PLANTED = '#include <unistd.h>\n__attribute__((constructor)) static void taken(void) { _exit(42); }\n'


class SearchPaths(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="fireclaw-search-path-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def check_program(self, program: Path) -> None:
        """Run where somebody has put libraries of the right names."""
        needed = re.findall(r"\(NEEDED\).*\[(.*)\]", output("readelf", "-dW", program))
        self.assertTrue(needed)
        (self.folder / "planted.c").write_text(PLANTED)
        for name in needed:
            output(CC, "-shared", "-fPIC", "-o", self.folder / name, self.folder / "planted.c")
        said = subprocess.run([program, "--version"], cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=60, check=False)
        self.assertEqual((said.returncode, said.stderr), (0, ""))

    def test_what_was_built(self) -> None:
        found = {path.name for path in binaries(BUILD)}
        self.assertLessEqual({"fireclaw", "fireclaw-mcp", "fireclaw-overseer", "guestd"}, found)
        self.assertEqual(open_entries(BUILD), [])
        self.check_program(BUILD / "bin/fireclaw")

    def test_what_is_installed(self) -> None:
        prefix = self.folder / "prefix"
        output("cmake", "--install", BUILD, "--prefix", prefix)
        self.assertLessEqual({"fireclaw", "fireclaw-mcp", "fireclaw-overseer", "guestd"},
                             {path.name for path in binaries(prefix)})
        self.assertEqual(open_entries(prefix), [])
        self.check_program(prefix / "bin/fireclaw")


if __name__ == "__main__":
    BUILD, CC = Path(sys.argv[1]).resolve(), sys.argv[2]
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])

#!/usr/bin/python3
"""Compares the library's binary interface with the last release's, and proves that a break would be found.

usage: abi_test.py BUILD-FOLDER SOURCE-FOLDER [unittest arguments]
"""

from __future__ import annotations

import lzma
import platform
import shutil
import sys
import tempfile
import unittest
from pathlib import Path

from abi import Interface, incompatible, released
from packages import run

BUILD, SOURCE = Path(), Path()


class BinaryInterface(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        folder = tempfile.TemporaryDirectory(prefix="fireclaw-abi-test-")
        cls.addClassCleanup(folder.cleanup)
        cls.scratch = Path(folder.name)
        cls.interface = Interface(BUILD, SOURCE)
        cls.errors = cls.scratch / "errors.abi"
        cls.interface.describe(["base/error.cpp"], cls.errors)

    def test_nothing_that_was_released_is_broken(self) -> None:
        place = released(SOURCE, self.interface.soname)
        if not place.exists():
            tags = run("git", "-C", SOURCE, "tag", "--list", "v*").stdout.split()
            if tags and not list((SOURCE / "abi").glob("*.abi.xz")):
                self.fail(f"{tags[-1]} was released without a description of its interface; see HACKING.md, Releasing")
            self.skipTest(f"no version has been released with {self.interface.soname}: there is nothing to compare with")
        before, now = self.scratch / "before.abi", self.scratch / "now.abi"
        before.write_bytes(lzma.decompress(place.read_bytes()))
        self.interface.describe_all(now)
        self.assertEqual(incompatible(before, now), "", "raise the number in libfireclaw/exports.map, or mend this")

    def test_a_member_that_is_added_to_a_public_class_is_found(self) -> None:
        include = self.scratch / "include"
        shutil.copytree(SOURCE / "include", include)
        header = include / "fireclaw/error.hpp"
        text = header.read_text()
        changed = text.replace("  ErrorCode code_;\n", "  ErrorCode code_;\n  int added_ = 0;\n")
        self.assertNotEqual(changed, text)
        header.write_text(changed)
        broken = self.scratch / "broken.abi"
        self.interface.describe(["base/error.cpp"], broken, include)
        self.assertIn("added_", incompatible(self.errors, broken))

    def test_what_is_taken_away_is_found_and_what_is_added_is_not_a_break(self) -> None:
        more = self.scratch / "more.abi"
        self.interface.describe(["base/error.cpp", "version.cpp"], more)
        self.assertEqual(incompatible(self.errors, more), "")
        self.assertIn("fireclaw::version()", incompatible(more, self.errors))


if __name__ == "__main__":
    BUILD, SOURCE = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    for program in ("abidw", "abidiff"):
        if shutil.which(program) is None:
            print(f"skipped: needs {program} (Debian: apt-get install abigail-tools)")
            raise SystemExit(77)
    if platform.machine() != "x86_64":
        print("skipped: releases are described for x86-64")
        raise SystemExit(77)
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])

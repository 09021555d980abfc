#!/usr/bin/python3
"""Runs the blocks of the pages in docs/ and of README.md that are marked `run`, and compares what they print with what the page says.

The blocks of one page run in order in one empty folder, those of Python as programs of their own. A block fails when one
of its commands does. A block `output` after it says what is printed; in it "..." stands for anything, also for lines.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/structure"))
import pages  # noqa: E402

FIRECLAW = Path(os.environ["FIRECLAW_PROGRAM"])
HOME = os.environ.get("FIRECLAW_TEST_HOME") or os.environ["FIRECLAW_BUILD_HOME"]
PYTHON_PACKAGE = os.environ.get("FIRECLAW_PYTHON_PACKAGE", "")
LIMIT_SECONDS = 120


def environment(bin_folder: Path) -> dict[str, str]:
    # No command changes the network namespace that it is started in. `fireclaw` is the one that is tested.
    result = {**os.environ, "FIRECLAW_HOME": HOME, "FIRECLAW_NET": "none", "PYTHONDONTWRITEBYTECODE": "1",
              "PATH": f"{bin_folder}:{os.environ['PATH']}"}
    if PYTHON_PACKAGE:
        result["PYTHONPATH"] = PYTHON_PACKAGE
    return result


def matches(expected: str, printed: str) -> bool:
    pattern = "".join(".*" if part == "..." else re.escape(part) for part in re.split(r"(\.\.\.)", expected.strip()))
    return re.fullmatch(pattern, printed.strip(), re.DOTALL) is not None


def listed(*words: str) -> set[str]:
    run = subprocess.run([FIRECLAW, "--home", HOME, *words, "--json"], capture_output=True, timeout=LIMIT_SECONDS,
                         stdin=subprocess.DEVNULL, check=True)
    return {entry.get("name") or entry["id"] for entry in json.loads(run.stdout)}


class PagesRun(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="fireclaw-pages-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        (self.folder / "bin").mkdir()
        # A script, since a program that is reached by a link would look for its own files beside that.
        program = self.folder / "bin/fireclaw"
        engine = os.environ.get("FIRECLAW_TEST_ENGINE")
        chosen = f" --engine '{engine}'" if engine else ""
        program.write_text(f"#!/bin/sh\nexec '{FIRECLAW}'{chosen} \"$@\"\n")
        program.chmod(0o755)

    def run_block(self, block: pages.Block, folder: Path) -> subprocess.CompletedProcess[str]:
        if block.language == "python":
            command = [sys.executable, "-c", block.text]
        else:
            command = ["bash", "-euo", "pipefail", "-c", block.text]
        return subprocess.run(command, cwd=folder, env=environment(self.folder / "bin"), capture_output=True, text=True,
                              timeout=LIMIT_SECONDS, stdin=subprocess.DEVNULL, check=False)

    def run_page(self, path: str) -> int:
        page = pages.Page(path, (ROOT / path).read_text(encoding="utf-8"))
        folder = self.folder / path.replace("/", "-")
        folder.mkdir()
        count = 0
        for index, block in enumerate(page.blocks):
            if block.use != "run" or (block.language == "python" and not PYTHON_PACKAGE):
                continue
            count += 1
            with self.subTest(f"{path}:{block.line}"):
                done = self.run_block(block, folder)
                self.assertEqual(done.returncode, 0, f"{block.text}\n{done.stdout}\n{done.stderr}")
                after = page.blocks[index + 1] if index + 1 < len(page.blocks) else None
                if after is not None and after.language == "output":
                    self.assertTrue(matches(after.text, done.stdout),
                                    f"{block.text}\nprinted\n{done.stdout}\nand not\n{after.text}")
        return count

    def test_what_pages_mark_as_run_runs_and_prints_what_they_say(self) -> None:
        before = {words: listed(*words) for words in (("image", "list"), ("workspace", "list"), ("vm", "list"))}
        pages_with_commands = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
        count = sum(self.run_page(path.relative_to(ROOT).as_posix()) for path in pages_with_commands)
        self.assertGreater(count, 20, "the pages have fewer commands than they should")
        for words, names in before.items():
            left = listed(*words) - names
            for name in left:
                subprocess.run([FIRECLAW, "--home", HOME, words[0], "kill" if words[0] == "vm" else "remove", name],
                               capture_output=True, timeout=LIMIT_SECONDS, check=False)
            self.assertEqual(left, set(), f"a page leaves these ({' '.join(words)}); it should remove what it makes")


class Outputs(unittest.TestCase):
    def test_dots_stand_for_anything_and_all_else_for_itself(self) -> None:
        self.assertTrue(matches("a\n...\nb\n", "a\nx\ny\nb\n"))
        self.assertTrue(matches("ready: ...", "ready: image"))
        self.assertFalse(matches("a", "a b"))
        self.assertFalse(matches("a.c", "abc"))


if __name__ == "__main__":
    unittest.main()

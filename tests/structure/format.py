#!/usr/bin/python3
"""Checks that every C++ file is as clang-format 14 would write it. Exit status 77: clang-format 14 is not there.

usage: format.py ROOT [--fix]
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

VERSION = "14"
FOLDERS = ["include", "libfireclaw", "apps", "agent", "bindings", "examples", "tests"]


def find_clang_format() -> str | None:
    for name in (f"clang-format-{VERSION}", "clang-format"):
        program = shutil.which(name)
        if program is not None:
            text = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
            if re.search(rf"version {VERSION}\.", text):
                return program
    return None


def main() -> int:
    root = Path(sys.argv[1])
    program = find_clang_format()
    if program is None:
        print(f"skipped: needs clang-format {VERSION} (Debian: apt-get install clang-format)")
        return 77
    files = sorted(
        path for folder in FOLDERS for path in (root / folder).rglob("*") if path.suffix in {".cpp", ".hpp", ".c", ".h"}
    )
    mode = ["-i"] if "--fix" in sys.argv[2:] else ["--dry-run", "--Werror"]
    run = subprocess.run([program, "--style=file", *mode, *map(str, files)], capture_output=True, text=True, check=False)
    wrong = sorted(set(re.findall(r"^(.+?):\d+:\d+: error", run.stderr, re.MULTILINE)))
    for path in wrong:
        print(f"{Path(path).relative_to(root)}: run tests/structure/format.py . --fix")
    if run.returncode != 0 and not wrong:
        print(run.stderr)
    print(f"{len(files)} files, {len(wrong)} to be formatted")
    return 0 if run.returncode == 0 and files else 1


if __name__ == "__main__":
    sys.exit(main())

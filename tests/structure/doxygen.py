#!/usr/bin/python3
"""Every public name is documented, and what is said of it can be read by Doxygen.

usage: doxygen.py DOXYFILE INCLUDE-FOLDER

Exit status 77 where there is no doxygen.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path


def run(settings: str, output: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["doxygen", "-"], input=f"{settings}\nOUTPUT_DIRECTORY = {output}\n", text=True, timeout=100,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)


def main() -> int:
    if shutil.which("doxygen") is None:
        print("skipped: doxygen is not installed")
        return 77
    settings, headers = Path(sys.argv[1]).read_text(), Path(sys.argv[2])
    with tempfile.TemporaryDirectory(prefix="fireclaw-doxygen-") as folder:
        done = run(settings, Path(folder, "docs"))
        print(done.stdout, end="")
        if done.returncode != 0:
            return 1
        listed = Path(folder, "docs/html/annotated.html").read_text()
        classes = {name for header in headers.rglob("*.hpp")
                   for name in re.findall(r"^class FIRECLAW_API (\w+)", header.read_text(), re.MULTILINE)}
        missing = sorted(name for name in classes if f">{name}</a>" not in listed)
        if missing or not classes:
            print(f"not documented: {', '.join(missing) or 'any class'}")
            return 1
        # It is not blind: a name that nothing is said of is found.
        silent = Path(folder, "include")
        silent.mkdir()
        Path(silent, "silent.hpp").write_text("/// @file\n/// Said.\nstruct Said {\n  int unsaid;\n};\n")
        if run(f"{settings}\nINPUT = {silent}\n", Path(folder, "silent")).returncode == 0:
            print("a member without documentation was not found")
            return 1
        print(f"{len(classes)} classes documented")
    return 0


if __name__ == "__main__":
    sys.exit(main())

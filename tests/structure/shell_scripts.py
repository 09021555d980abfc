#!/usr/bin/python3
"""Runs shellcheck over every shell script of the tree. Exit status 77: shellcheck is not there.

usage: shell_scripts.py ROOT
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

SHEBANG = re.compile(rb"#!\s*(/usr)?/bin/(env\s+)?(ba|da)?sh\b")
SKIPPED_FOLDERS = {".git", "build"}


def is_script(path: Path) -> bool:
    if not path.is_file() or path.is_symlink():
        return False
    if path.suffix == ".sh":
        return True
    with path.open("rb") as file:
        return SHEBANG.match(file.read(64)) is not None


def main() -> int:
    root = Path(sys.argv[1])
    if shutil.which("shellcheck") is None:
        print("skipped: needs shellcheck (Debian: apt-get install shellcheck)")
        return 77
    scripts = [
        str(path.relative_to(root))
        for entry in sorted(root.iterdir())
        if entry.name not in SKIPPED_FOLDERS and not entry.name.startswith("build-")
        for path in (sorted(entry.rglob("*")) if entry.is_dir() else [entry])
        if is_script(path)
    ]
    run = subprocess.run(["shellcheck", "--external-sources", *scripts], cwd=root, check=False)
    print(f"{len(scripts)} scripts")
    return run.returncode if scripts else 1


if __name__ == "__main__":
    sys.exit(main())

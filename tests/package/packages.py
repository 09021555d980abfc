"""What the tests of packages share: running programs, and the Debian packages of a build."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

CONSUMER = Path(__file__).resolve().parent / "consumer"


def run(*command: str | Path, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(word) for word in command], env={**os.environ, **environment}, timeout=600, cwd=cwd,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


def output(*command: str | Path, cwd: Path | None = None, **environment: str) -> str:
    done = run(*command, cwd=cwd, **environment)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def debian_packages(folder: Path) -> dict[str, Path]:
    """The .deb files in `folder`, by the names of their packages."""
    return {output("dpkg-deb", "--field", file, "Package").strip(): file for file in sorted(folder.glob("*.deb"))}

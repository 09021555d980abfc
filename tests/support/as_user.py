"""Runs a suite as an ordinary user, on a copy of the home folder that it would use:

    as_user.py SUITE.py [argument...]

The suite finds itself in namespaces that were made for it (FIRECLAW_TEST_INSIDE).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import ordinary_user

INSIDE = "FIRECLAW_TEST_INSIDE"


def main() -> int:
    reason = ordinary_user.reason_against()
    if reason is not None:
        print(f"skipped: {reason}")
        return 77
    if INSIDE not in os.environ:
        os.environ[INSIDE] = "1"
        os.execvp("unshare", ["unshare", "--net", "--mount", sys.executable, *sys.argv])
    with tempfile.TemporaryDirectory(prefix="fireclaw-user-") as folder:
        home = ordinary_user.make_host(Path(folder), os.environ.get("FIRECLAW_TEST_HOME") or os.environ["FIRECLAW_BUILD_HOME"])
        environment = {name: value for name, value in os.environ.items() if name not in ("FIRECLAW_NET", "FIRECLAW_TEST_HOME")}
        environment.update(FIRECLAW_BUILD_HOME=str(home), HOME=str(home))
        return subprocess.run([*ordinary_user.words(), sys.executable, *sys.argv[1:]], cwd="/", env=environment).returncode


if __name__ == "__main__":
    raise SystemExit(main())

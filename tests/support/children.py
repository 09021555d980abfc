"""Programs beside a test that end with it, however it ends."""

from __future__ import annotations

import shutil
from typing import List, Sequence

SETPRIV = shutil.which("setpriv")


NOBODY = 65534


def bound(argv: Sequence[str], as_nobody: bool = False) -> List[str]:
    """The command, which the kernel then kills when the thread that starts it ends: also when that is killed itself. It
    must not change its user, which ends that; `as_nobody` does so before."""
    if SETPRIV is None:
        return list(argv)
    user = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"] if as_nobody else []
    return [SETPRIV, *user, "--pdeathsig", "KILL", "--", *argv]

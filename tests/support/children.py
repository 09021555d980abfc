"""Programs beside a test that end with it, however it ends."""

from __future__ import annotations

import shutil
from typing import List, Sequence

SETPRIV = shutil.which("setpriv")


def bound(argv: Sequence[str]) -> List[str]:
    """The command, which the kernel then kills when the thread that starts it ends: also when that is killed itself."""
    return [SETPRIV, "--pdeathsig", "KILL", "--", *argv] if SETPRIV else list(argv)

"""What workspace.hpp of C++ describes; written by cmake/describe.py."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


__all__ = ["WorkspaceCheck", "WorkspaceConfig", "WorkspaceInfo"]


@dataclass
class WorkspaceConfig:
    """What workspace to make."""

    #: 1–64 of a-z A-Z 0-9 . _ -, starting with a letter or digit.
    name: str = ""
    #: 16–16777216. Sparse: it takes on the host what is in it.
    size_mib: int = 64
    #: Whom what is in it belongs to inside machines, by number; the agent image's user "agent" unless said otherwise.
    uid: int = 1000
    #: The group, likewise.
    gid: int = 1000


@dataclass
class WorkspaceInfo:
    """What is known of a workspace."""

    #: What it is called.
    name: str
    #: The size of its disk as machines see it.
    size_bytes: int
    #: Taken inside, by files and by the file system itself. Lags behind while a machine writes.
    used_bytes: int
    #: What it takes on the host.
    disk_bytes: int
    #: When it was made.
    created: datetime
    #: Whom what is in it belongs to, by number.
    uid: int
    #: The group, by number.
    gid: int
    #: A machine or a process has it right now.
    in_use: bool
    #: The id of the machine that has it; empty if it is none.
    vm: str
    #: Left in order by its last user. Not so while a machine has it, or after one crashed: it is then repaired when it
    #: is used next.
    clean: bool
    #: Why it cannot be used, one line; empty for a whole one.
    problem: str


@dataclass
class WorkspaceCheck:
    """What Workspace.check() found and did."""

    #: Something was damaged and has been repaired.
    repaired: bool
    #: What was found and done, one line; empty if nothing was.
    report: str

"""Workspaces."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

__all__ = ["WorkspaceCheck", "WorkspaceConfig", "WorkspaceInfo"]


@dataclass
class WorkspaceConfig:
    """A workspace to make."""

    name: str = ""
    #: 16 to 16777216; sparse.
    size_mib: int = 64
    #: Whom what is in it belongs to inside machines.
    uid: int = 1000
    gid: int = 1000


@dataclass
class WorkspaceInfo:
    """A workspace."""

    name: str
    size_bytes: int
    used_bytes: int
    #: What it takes on the host.
    disk_bytes: int
    created: datetime
    uid: int
    gid: int
    in_use: bool
    vm: str
    clean: bool
    #: Why it cannot be used; empty for a whole one.
    problem: str


@dataclass
class WorkspaceCheck:
    """What Workspace.check() found."""

    repaired: bool
    report: str

"""Machines, what they are restored from, and pools of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Optional, Union

from .common import Seconds, Text
from .network import NatOptions, NetworkMode

if TYPE_CHECKING:
    from .._fireclaw import StopSource

__all__ = ["CopyResult", "Phase", "PoolConfig", "SnapshotInfo", "StartMode", "VMConfig", "VMInfo", "VMState"]


class StartMode(Text):
    """Whether machines are restored or boot. PREFER_SNAPSHOT restores where there is something to restore."""

    PREFER_SNAPSHOT = "prefer-snapshot"
    COLD = "cold"
    REQUIRE_SNAPSHOT = "require-snapshot"


class VMState(Text):
    """A machine's state."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"


@dataclass
class VMConfig:
    """A machine."""

    image: str = "busybox"
    #: 1 to 32.
    cpus: int = 1
    #: 32 to 1048576.
    memory_mib: int = 128
    network: Union[NetworkMode, str] = NetworkMode.NONE
    nat: NatOptions = field(default_factory=NatOptions)
    start: Union[StartMode, str] = StartMode.PREFER_SNAPSHOT
    #: A snapshot's name; empty: the one made for this image, engine and machine.
    snapshot: str = ""
    #: RFC 1123 label; empty: "fc-" and the first digits of the id.
    hostname: str = ""
    #: Leave the machine running when the handle or this process goes away.
    detached: bool = False
    #: A workspace's name, to be mounted at /workspace.
    workspace: str = ""
    #: A disk that ends with the machine, in MiB, 8 to 1048576; 0: none.
    scratch_mib: int = 0
    scratch_target: str = "/scratch"
    scratch_uid: int = 0
    scratch_gid: int = 0
    #: Seconds from start() to the guest's greeting.
    start_timeout: Seconds = 60.0
    stop: Optional[StopSource] = None


@dataclass
class Phase:
    """A finished part of a machine's start, in seconds."""

    name: str
    duration: float


@dataclass
class VMInfo:
    """A machine that there is."""

    id: str
    state: VMState
    image: str
    engine: str
    cpus: int
    memory_mib: int
    network: NetworkMode
    #: IPv4 with NetworkMode.NAT; else empty.
    address: str
    hostname: str
    #: What it was restored from; empty after a cold boot.
    snapshot: str
    detached: bool
    workspace: str
    agent: str
    #: The engine's process; 0 before start().
    engine_pid: int
    created: datetime
    phases: list[Phase]


@dataclass
class CopyResult:
    """What was copied."""

    files: int
    bytes: int


@dataclass
class SnapshotInfo:
    """A snapshot."""

    name: str
    image: str
    engine: str
    cpus: int
    memory_mib: int
    network_device: bool
    bytes: int
    created: datetime
    #: Found by image, engine and machine, not by name.
    automatic: bool
    #: The agent that it is of, with what was on its disks (AgentManager.snapshot()); empty: it is of a machine alone.
    agent: str
    #: Whether it can be restored here and now, and why not.
    usable: bool
    reason: str


@dataclass
class PoolConfig:
    """What a pool keeps ready."""

    machine: VMConfig = field(default_factory=VMConfig)
    #: 1 to 1024.
    size: int = 2

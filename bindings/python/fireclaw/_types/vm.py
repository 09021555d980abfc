"""What vm.hpp of C++ describes; written by cmake/describe.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Optional, Union

from .common import Seconds, Text
from .network import NatOptions, NetworkMode

if TYPE_CHECKING:
    from .._fireclaw import StopSource

__all__ = ["CopyResult", "Phase", "StartMode", "VMConfig", "VMInfo", "VMState"]


class StartMode(Text):
    """Whether a machine is restored or boots."""

    PREFER_SNAPSHOT = "prefer-snapshot"
    COLD = "cold"
    REQUIRE_SNAPSHOT = "require-snapshot"


@dataclass
class VMConfig:
    """What machine it is to be."""

    #: The image's name.
    image: str = "busybox"
    #: 1–32.
    cpus: int = 1
    #: 32–1048576.
    memory_mib: int = 128
    #: Network.best_mode() tells what is possible here.
    network: Union[NetworkMode, str] = NetworkMode.NONE
    #: What the machine may do with NetworkMode.Nat.
    nat: NatOptions = field(default_factory=NatOptions)
    #: Whether it is restored or boots.
    start: Union[StartMode, str] = StartMode.PREFER_SNAPSHOT
    #: A snapshot's name to restore; it then decides image, CPUs, memory and whether there is a network device. What
    #: that leads to is `network`'s business; with NetworkMode.None it leads nowhere. The sizes of the disks must be
    #: those that it was made for. Empty: the one that was made for this image, engine and machine.
    snapshot: str = ""
    #: The guest's host name (RFC 1123 label); empty: "fc-" and the first digits of the id.
    hostname: str = ""
    #: Leave the machine running when the handle (or this process) goes away; VM.attach finds it again. start() then
    #: waits for the guest, so that nobody finds one without identity or disks.
    detached: bool = False
    #: A workspace's name: its disk is mounted at /workspace, and is this machine's alone until that ends. Empty: none.
    workspace: str = ""
    #: A disk that ends with the machine, in MiB, 8 to 1048576; 0: none. It takes room on the host as it is written to.
    scratch_mib: int = 0
    #: Where it is mounted, an absolute path, and whose its top folder is.
    scratch_target: str = "/scratch"
    #: Owner, by number in the guest.
    scratch_uid: int = 0
    #: Group, by number in the guest.
    scratch_gid: int = 0
    #: From start() to the guest's greeting. In seconds.
    start_timeout: Seconds = 60.0
    #: Triggered, it calls off what is being waited for: Error(Cancelled).
    stop: Optional[StopSource] = None


class VMState(Text):
    """What a machine is doing."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"


@dataclass
class Phase:
    """A finished part of a machine's start."""

    #: Which part: "spawn", "network", "guest", ...
    name: str
    #: By the host's steady clock. In seconds.
    duration: float


@dataclass
class VMInfo:
    """What is known of a machine."""

    #: 16 hexadecimal digits.
    id: str
    #: As of the call.
    state: VMState
    #: The image's name.
    image: str
    #: "firecracker", "qemu-kvm", "qemu-tcg".
    engine: str
    #: Virtual CPUs.
    cpus: int
    #: Memory in MiB.
    memory_mib: int
    #: What its network device leads to.
    network: NetworkMode
    #: The machine's IPv4 address with NetworkMode.Nat, from start() on; else empty.
    address: str
    #: Its host name.
    hostname: str
    #: The snapshot it was restored from; empty after a cold boot.
    snapshot: str
    #: It lives on without whoever started it.
    detached: bool
    #: The name of its workspace; empty: none.
    workspace: str
    #: The agent that runs in it; empty: it was not started for one.
    agent: str
    #: The engine's process; 0 before start().
    engine_pid: int
    #: When it was created.
    created: datetime
    #: How long each part of the start took.
    phases: list[Phase]


@dataclass
class CopyResult:
    """What a copy moved."""

    #: Everything but folders.
    files: int
    #: What was in the files.
    bytes: int

"""A host: how it is opened, set up and looked at."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Optional, Sequence, Union

from .common import LogSink, ProgressCallback, StrPath, Text
from .image import DistributionKernel, KernelSource

if TYPE_CHECKING:
    from .._fireclaw import StopSource

__all__ = [
    "Check", "CheckStatus", "Engine", "EngineVerdict", "GarbageReport", "HostOptions", "SetupOptions",
    "SetupReport",
]


class Engine(Text):
    """Which engine runs the machines. AUTO is the best that setup has seen to work here."""

    AUTO = "auto"
    FIRECRACKER = "firecracker"
    QEMU = "qemu"
    QEMU_KVM = "qemu-kvm"
    QEMU_TCG = "qemu-tcg"


@dataclass
class EngineVerdict:
    """What was seen when an engine was asked to boot a kernel here."""

    engine: str
    #: None where no program was found.
    binary: Optional[Path]
    version: str
    cpu_model: str
    kernel_release: str
    kernel_sha256: str
    works: bool
    #: Why not; empty if it works.
    reason: str
    #: Seconds from the engine's start to the guest's greeting.
    boot_time: float


@dataclass
class HostOptions:
    """How a Host is opened. Nothing is read from the environment."""

    #: The folder that holds everything; absolute.
    home: Optional[StrPath] = None
    engine: Union[Engine, str] = Engine.AUTO
    #: Engine programs; None: searched in `search_path`.
    firecracker: Optional[StrPath] = None
    qemu: Optional[StrPath] = None
    search_path: Sequence[StrPath] = field(default_factory=lambda: [Path(folder) for folder in (
        "/usr/local/bin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/sbin", "/sbin")])
    #: What tools get beside PATH, HOME, TMPDIR and LC_ALL, as "NAME=value".
    tool_environment: Sequence[str] = field(default_factory=list)
    #: Where downloads are kept; None: with the images.
    cache: Optional[StrPath] = None
    #: The guest's first process, and what agents' images get; None: those that belong to the library.
    guestd: Optional[StrPath] = None
    agent: Optional[StrPath] = None
    #: Gets the library's messages, from any thread; must not call back into fireclaw.
    log: Optional[LogSink] = None


def default_host_options() -> HostOptions:
    """What the command line would use: $FIRECLAW_HOME, else ~/.fireclaw."""
    home = os.environ.get("FIRECLAW_HOME") or os.path.join(os.path.expanduser("~"), ".fireclaw")
    return HostOptions(home=os.path.abspath(home), cache=os.environ.get("FIRECLAW_CACHE") or None)


@dataclass
class SetupOptions:
    """What Host.setup() does."""

    kernel: KernelSource = field(default_factory=DistributionKernel)
    #: Also build the image that agents run in, "debian-agent".
    agents: bool = False
    #: Do every step anew.
    force: bool = False
    progress: Optional[ProgressCallback] = None
    stop: Optional[StopSource] = None


@dataclass
class SetupReport:
    """What Host.setup() did."""

    engines: list[EngineVerdict]
    engine: str
    image: str
    agent_image: str
    snapshot: str
    network_snapshot: str
    already_done: bool


class CheckStatus(Text):
    """How a finding of Host.doctor() is."""

    OK = "ok"
    WARNING = "warning"
    MISSING = "missing"


@dataclass
class Check:
    """One finding of Host.doctor()."""

    name: str
    status: CheckStatus
    detail: str
    #: The command that mends it; empty if there is nothing to mend.
    remedy: str


@dataclass
class GarbageReport:
    """What Host.collect_garbage() did."""

    ended: list[str]
    removed: list[Path]
    addresses: list[str]

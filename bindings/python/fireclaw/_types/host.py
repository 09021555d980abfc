"""What host.hpp of C++ describes; written by cmake/describe.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Optional, Sequence, Union

from .common import LogSink, ProgressCallback, StrPath, Text
from .engine import Engine, EngineVerdict
from .image import DistributionKernel, KernelSource

if TYPE_CHECKING:
    from .._fireclaw import StopSource

__all__ = ["Check", "CheckStatus", "GarbageReport", "HostOptions", "SetupOptions", "SetupReport"]


@dataclass
class HostOptions:
    """How a Host is opened. Nothing is read from the environment: what an application wants from there, it passes
    here.
    """

    #: The folder that holds everything, e.g. ~/.fireclaw; absolute. Created (mode 0700) if missing.
    home: Optional[StrPath] = None
    #: Which engine runs machines unless an image or a snapshot decides it.
    engine: Union[Engine, str] = Engine.AUTO
    #: Engine programs; None: searched in `search_path`.
    firecracker: Optional[StrPath] = None
    #: The program qemu-system-*.
    qemu: Optional[StrPath] = None
    #: Where programs are searched: engines, and the tools that build images.
    search_path: Sequence[StrPath] = field(default_factory=lambda: [Path(item) for item in ("/usr/local/bin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/sbin", "/sbin")])
    #: What those tools get beside PATH, HOME, TMPDIR and LC_ALL, as "NAME=value"; e.g. proxy settings.
    tool_environment: Sequence[str] = field(default_factory=list)
    #: Where downloads are kept for the next time; None: with the images. May be shared by several home folders. Debian
    #: roots, which are large, are kept (for a week) only in a folder that is named here.
    cache: Optional[StrPath] = None
    #: The guest's PID 1, a static program; None: libexec/fireclaw/guestd beside the library.
    guestd: Optional[StrPath] = None
    #: What fireclaw puts into images for agents (the bot and its surroundings); None: share/fireclaw/agent beside the
    #: library.
    agent: Optional[StrPath] = None
    #: Where messages go; None: nowhere.
    log: Optional[LogSink] = None


@dataclass
class SetupOptions:
    """What Host.setup() is to do."""

    #: A kernel to use instead of Debian's cloud kernel.
    kernel: KernelSource = field(default_factory=DistributionKernel)
    #: Also build the image that agents run in, "debian-agent".
    agents: bool = False
    #: Do every step anew, also those done before.
    force: bool = False
    #: Progress: called when a step starts (done = 0), moves and ends (finished = true).
    progress: Optional[ProgressCallback] = None
    #: Triggered, it ends the work: Error(Cancelled). What is done stays done.
    stop: Optional[StopSource] = None


@dataclass
class SetupReport:
    """What Host.setup() found and made."""

    #: What was seen of each engine.
    engines: list[EngineVerdict]
    #: The engine that `Engine.Auto` now means.
    engine: str
    #: The built-in image's name.
    image: str
    #: The image for agents; empty unless it was asked for.
    agent_image: str
    #: The default snapshot's name; empty if none could be made (the reason was logged).
    snapshot: str
    #: The same for machines with a network device; empty if machines here can have no network.
    network_snapshot: str
    #: Nothing had to be done.
    already_done: bool


class CheckStatus(Text):
    """How serious a finding of doctor() is."""

    OK = "ok"
    WARNING = "warning"
    MISSING = "missing"


@dataclass
class Check:
    """One finding of doctor()."""

    #: "kvm", "engine qemu-tcg", "image busybox", ...
    name: str
    #: How serious it is.
    status: CheckStatus
    #: What was found, one line.
    detail: str
    #: The command that mends it; empty if there is nothing to mend.
    remedy: str


@dataclass
class GarbageReport:
    """What Host.collect_garbage() did."""

    #: Run ids of machines that were ended because their owner is gone.
    ended: list[str]
    #: Folders and files removed.
    removed: list[Path]
    #: Addresses taken back from machines that are gone, with what was left of them on the bridge and in the firewall.
    addresses: list[str]

"""The values that fireclaw takes and gives: enums and dataclasses, named as in C++.

Durations are seconds: an int, a float or a timedelta where they are given, a float where they come back. Times are
datetimes in UTC. Wherever an enum is wanted, its text will do as well ("qemu-tcg", "nat").
"""

from __future__ import annotations

import enum
import os
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Mapping, Optional, Protocol, Sequence, Union

if TYPE_CHECKING:
    from ._fireclaw import StopSource


class HasFileno(Protocol):
    """An open file, socket or pipe."""

    def fileno(self) -> int: ...


StrPath = Union[str, "os.PathLike[str]"]
Seconds = Union[float, timedelta]
FileDescriptor = Union[int, HasFileno]
OutputCallback = Callable[[bytes], object]
ProgressCallback = Callable[["Progress"], object]
LogSink = Callable[["LogLevel", str], object]


class _Text(str, enum.Enum):
    def __str__(self) -> str:
        return str(self.value)


class ErrorCode(_Text):
    """What kind of failure an error is."""

    INVALID_ARGUMENT = "invalid_argument"
    NOT_FOUND = "not_found"
    ALREADY_EXISTS = "already_exists"
    INVALID_STATE = "invalid_state"
    PERMISSION_DENIED = "permission_denied"
    UNSUPPORTED = "unsupported"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    IO = "io"
    VMM = "vmm"
    GUEST = "guest"
    CORRUPT = "corrupt"
    INTERNAL = "internal"


class LogLevel(_Text):
    """How important a message is."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Engine(_Text):
    """Which engine runs the machines. AUTO is the best that setup has seen to work here."""

    AUTO = "auto"
    FIRECRACKER = "firecracker"
    QEMU = "qemu"
    QEMU_KVM = "qemu-kvm"
    QEMU_TCG = "qemu-tcg"


class StartMode(_Text):
    """Whether machines are restored or boot. PREFER_SNAPSHOT restores where there is something to restore."""

    PREFER_SNAPSHOT = "prefer-snapshot"
    COLD = "cold"
    REQUIRE_SNAPSHOT = "require-snapshot"


class VMState(_Text):
    """A machine's state."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"


class CheckStatus(_Text):
    """How a finding of Host.doctor() is."""

    OK = "ok"
    WARNING = "warning"
    MISSING = "missing"


class NetworkMode(_Text):
    """What a machine's network device leads to; with NONE there is none."""

    NONE = "none"
    USER = "user"
    NAT = "nat"


class Egress(_Text):
    """Where a machine with NetworkMode.NAT may connect to outside the host."""

    NONE = "none"
    ALLOWLIST = "allowlist"
    INTERNET = "internet"


class RestartPolicy(_Text):
    """When a service that has ended is started again."""

    NEVER = "never"
    ON_FAILURE = "on-failure"
    ALWAYS = "always"


class ServiceState(_Text):
    """A service's state."""

    RUNNING = "running"
    BACKING_OFF = "backing-off"
    STOPPED = "stopped"
    FAILED = "failed"


class AgentState(_Text):
    """An agent's state. CRASHED: its machine ended without having been told to."""

    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    CRASHED = "crashed"


@dataclass
class WindowSize:
    """A terminal's size in character cells."""

    rows: int = 24
    columns: int = 80


@dataclass
class ExecOptions:
    """A command for a guest, and how to run it."""

    #: Program and arguments, run as they are; see shell().
    argv: Sequence[str] = field(default_factory=list)
    #: Added to the guest's own.
    env: Mapping[str, str] = field(default_factory=dict)
    #: Working directory; empty: the image's, else the user's home.
    cwd: str = ""
    #: Name or "uid[:gid]" in the guest; empty: the image's, else root.
    user: str = ""
    #: What the command reads on stdin, ...
    input: Union[bytes, str] = b""
    #: ... or an open file that is read to its end, through its descriptor.
    input_fd: Optional[FileDescriptor] = None
    #: Give the command a terminal of its own.
    tty: bool = False
    window_size: WindowSize = field(default_factory=WindowSize)
    #: Seconds, then SIGKILL, and ExecResult.timed_out is set.
    timeout: Optional[Seconds] = None
    #: Ends the command: SIGTERM, two seconds later SIGKILL; ExecResult.cancelled is set.
    stop: Optional[StopSource] = None
    #: Called with output as it appears; without, it is collected.
    on_stdout: Optional[OutputCallback] = None
    on_stderr: Optional[OutputCallback] = None
    #: Bytes collected per stream; what comes after is dropped and ExecResult.truncated is set.
    max_output_bytes: int = 64 << 20

    @staticmethod
    def shell(line: str) -> ExecOptions:
        """Options that run `line` with the guest's /bin/sh -c."""
        return ExecOptions(argv=["/bin/sh", "-c", line])


#: A shell line, a program with its arguments, or all of it.
Command = Union[str, Sequence[str], ExecOptions]


def exec_options(command: Command, **keywords: Any) -> ExecOptions:
    """`command` as ExecOptions, with fields replaced by keywords."""
    if isinstance(command, ExecOptions):
        return replace(command, **keywords)
    argv = ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)
    return ExecOptions(argv=argv, **keywords)


@dataclass
class ExecResult:
    """How a command ended."""

    #: As a shell gives it: 128 + the signal, 126 / 127 if it could not be executed / was not found.
    exit_code: int = 0
    #: The signal that ended it, or 0.
    signal: int = 0
    timed_out: bool = False
    cancelled: bool = False
    #: Collected output was cut at max_output_bytes.
    truncated: bool = False
    out: bytes = b""
    err: bytes = b""
    #: Seconds, on the host's steady clock.
    duration: float = 0.0

    @property
    def text(self) -> str:
        """`out` as text; what is not UTF-8 is replaced."""
        return self.out.decode(errors="replace")

    @property
    def err_text(self) -> str:
        """`err` as text; what is not UTF-8 is replaced."""
        return self.err.decode(errors="replace")

    @property
    def ok(self) -> bool:
        """It ended by itself, with status 0."""
        return self.exit_code == 0 and not self.timed_out and not self.cancelled


@dataclass
class Progress:
    """How far a long step is; `total` is 0 where it is not known."""

    step: str
    done: int
    total: int
    finished: bool


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


@dataclass
class DistributionKernel:
    """Debian's cloud kernel, through apt's own download."""


@dataclass
class KernelFile:
    """A vmlinux or bzImage file, and the /lib/modules/<release> folder that belongs to it."""

    path: Optional[StrPath] = None
    modules: Optional[StrPath] = None


@dataclass
class KernelUrl:
    """A kernel to download; `sha256` (64 hexadecimal digits) is required."""

    url: str = ""
    sha256: str = ""


@dataclass
class KernelOfImage:
    """The kernel of an image that exists."""

    image: str = ""


KernelSource = Union[DistributionKernel, KernelFile, KernelUrl, KernelOfImage]


@dataclass
class BusyboxRoot:
    """The small built-in root file system: a static busybox from the host."""


@dataclass
class DebianRoot:
    """Debian through mmdebstrap; no root needed."""

    suite: str = "bookworm"
    packages: Sequence[str] = field(default_factory=list)
    #: Empty: the host's own sources.
    mirror: str = ""


@dataclass
class DebianAgentRoot:
    """Debian with what agents need, and `packages` beside that."""

    suite: str = "bookworm"
    packages: Sequence[str] = field(default_factory=list)
    #: Empty: the host's own sources.
    mirror: str = ""


@dataclass
class DirectoryRoot:
    """A folder's content."""

    path: Optional[StrPath] = None


@dataclass
class TarRoot:
    """A tar file, plain or compressed."""

    path: Optional[StrPath] = None


@dataclass
class OciRoot:
    """An OCI image as skopeo names it: "oci:DIR:TAG", "oci-archive:FILE", "docker://registry/name:tag"."""

    reference: str = ""


RootSource = Union[BusyboxRoot, DebianRoot, DebianAgentRoot, DirectoryRoot, TarRoot, OciRoot]


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


@dataclass
class ImageConfig:
    """An image to build."""

    name: str = ""
    root: RootSource = field(default_factory=BusyboxRoot)
    kernel: KernelSource = field(default_factory=DistributionKernel)
    #: Replace an image of that name; machines that run from the old one keep it.
    replace: bool = False
    progress: Optional[ProgressCallback] = None
    stop: Optional[StopSource] = None


@dataclass
class ImageInfo:
    """An image."""

    name: str
    source: str
    kernel_release: str
    kernel_source: str
    rootfs_type: str
    #: What an OCI image runs unless told otherwise: its entrypoint and the arguments for it.
    command: Sequence[str]
    #: SHA-256 over kernel, initramfs and root file system.
    digest: str
    bytes: int
    created: datetime


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
    #: Whether it can be restored here and now, and why not.
    usable: bool
    reason: str


@dataclass
class NatOptions:
    """What a machine with NetworkMode.NAT may do."""

    egress: Union[Egress, str] = Egress.INTERNET
    #: Destinations: "10.0.0.0/8", "192.0.2.7:443", "192.0.2.7:53/udp", "example.org:443", ...
    allow: Sequence[str] = field(default_factory=list)
    #: Ports of the host that lead to ports of the machine: "8080:80", "127.0.0.1:8080:80", "5353:53/udp".
    publish: Sequence[str] = field(default_factory=list)
    #: The gateway's services may be used.
    services: bool = True


@dataclass
class NetworkObstacle:
    """Something that stands in the way of NetworkMode.NAT."""

    problem: str
    remedy: str


@dataclass
class NetworkLease:
    """An address on loan to a machine."""

    address: str
    mac: str
    tap: str
    vm: str
    holder_pid: int
    alive: bool


@dataclass
class NetworkInfo:
    """The network that machines with NetworkMode.NAT share."""

    obstacles: list[NetworkObstacle]
    up: bool
    bridge: str
    subnet: str
    gateway: str
    resolver: str
    services: list[str]
    capacity: int
    leases: list[NetworkLease]


@dataclass
class NetworkChoice:
    """The best network that machines can have here, and why none that is better."""

    mode: NetworkMode
    reason: str


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
class ServiceOptions:
    """A long-lived program that belongs to its guest."""

    name: str = ""
    argv: Sequence[str] = field(default_factory=list)
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str = ""
    user: str = ""
    #: The file in the guest that takes its output; empty: /var/log/fireclaw/<name>.log.
    log: str = ""
    #: Once the log has grown to this, it becomes <log>.1. 4 KiB to 1 GiB.
    log_limit_bytes: int = 1 << 20
    restart: Union[RestartPolicy, str] = RestartPolicy.ON_FAILURE
    #: Seconds before it is started again: at first, and after doubling at most.
    backoff_first: Seconds = 0.5
    backoff_longest: Seconds = 30.0


@dataclass
class ServiceInfo:
    """A service."""

    name: str
    state: ServiceState
    #: In the guest; 0 unless it is running.
    pid: int
    restarts: int
    exit_code: int
    signal: int
    #: Seconds, by the guest's clock; 0 unless it is running.
    uptime: float
    problem: str


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


@dataclass
class PoolConfig:
    """What a pool keeps ready."""

    machine: VMConfig = field(default_factory=VMConfig)
    #: 1 to 1024.
    size: int = 2


@dataclass
class AgentTemplate:
    """What agents are made from."""

    name: str
    description: str
    nick: str
    model: str
    persona: str
    trigger: str
    tools: bool
    channels: list[str]
    image: str
    cpus: int
    memory_mib: int
    workspace_mib: int
    scratch_mib: int
    #: The file it was read from; None if it comes with the library.
    file: Optional[Path]


@dataclass
class AgentSettings:
    """What an agent is told anew; None leaves it as it is."""

    model: Optional[str] = None
    persona: Optional[str] = None
    trigger: Optional[str] = None
    tools: Optional[bool] = None


@dataclass
class AgentConfig:
    """An agent to start."""

    template_name: str = ""
    #: Its name, IRC nick, and its workspace's name; empty: the template's nick.
    name: str = ""
    settings: AgentSettings = field(default_factory=AgentSettings)
    cpus: Optional[int] = None
    memory_mib: Optional[int] = None
    #: None: NAT where it can be used, else USER.
    network: Optional[Union[NetworkMode, str]] = None
    start: Union[StartMode, str] = StartMode.PREFER_SNAPSHOT
    #: Lives on when this process ends.
    detached: bool = True
    #: Seconds to the guest's configuration, and from there to its being on IRC (0: do not wait).
    start_timeout: Seconds = 120.0
    join_timeout: Seconds = 60.0
    stop: Optional[StopSource] = None


@dataclass
class AgentInfo:
    """An agent."""

    name: str
    template_name: str
    state: AgentState
    nick: str
    model: str
    trigger: str
    tools: bool
    workspace: str
    vm: str
    image: str
    engine: str
    network: str
    address: str
    cpus: int
    memory_mib: int
    engine_pid: int
    #: When it was started the last time; the epoch if never.
    started: datetime
    phases: list[Phase]
    #: On IRC, and in which channels, when it was last asked.
    online: bool
    channels: list[str]
    #: How often its LLM failed it since the bot started, asked likewise.
    llm_errors: int
    last_error: str
    memory_bytes: int
    #: Seconds of CPU time of the engine's process.
    cpu_time: float


@dataclass
class ReconcileReport:
    """What AgentManager.reconcile() found."""

    adopted: list[str]
    crashed: list[str]
    orphans: list[str]
    busy: list[str]


def default_host_options() -> HostOptions:
    """What the command line would use: $FIRECLAW_HOME, else ~/.fireclaw."""
    home = os.environ.get("FIRECLAW_HOME") or os.path.join(os.path.expanduser("~"), ".fireclaw")
    return HostOptions(home=os.path.abspath(home), cache=os.environ.get("FIRECLAW_CACHE") or None)

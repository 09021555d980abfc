"""Commands and agents in microVMs: libfireclaw for Python.

    >>> import fireclaw
    >>> print(fireclaw.run("uname -a").text)

    >>> with fireclaw.VM(memory_mib=256) as vm:
    ...     for stream, data in vm.stream("make -C /src"):
    ...         print(stream, data)

Names, arguments and meanings are those of the C++ headers; see _types for how values are written. Calls that wait let
other threads run; on the main thread Ctrl-C interrupts them: a command, a start, a copy is ended first. What takes no
`stop` is finished first. Failures are raised as FireclawError's subclasses.
"""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from typing import Any, Callable, Mapping, Optional, TypeVar, Union

from . import _errors, _fireclaw, _types
from ._errors import (
    AlreadyExistsError, CancelledError, CorruptError, FireclawError, GuestError, InternalError,
    InvalidArgumentError, InvalidStateError, IoError, NotFoundError, PermissionDeniedError, TimeoutError,
    UnsupportedError, VmmError,
)
from ._fireclaw import (
    Agent, AgentManager, AgentShell, AgentWatch, Gateway, Host, Images, LlmServers, MachineManager, Network, Pool, Process,
    Secrets, Snapshot, Snapshots, StopSource, VM, VMs, Workspace, Workspaces, version,
)
from ._files import Files
from ._stream import Stream
from ._types.agent import *
from ._types.backup import *
from ._types.common import *
from ._types.copy import *
from ._types.engine import *
from ._types.error import *
from ._types.exec import *
from ._types.file import *
from ._types.gateway import *
from ._types.gateway_counts import *
from ._types.helpers import *
from ._types.host import *
from ._types.image import *
from ._types.llm import *
from ._types.log import *
from ._types.machine import *
from ._types.methods import CommandError
from ._types.network import *
from ._types.pool import *
from ._types.service import *
from ._types.snapshot import *
from ._types.vm import *
from ._types.workspace import *

__all__ = [
    "Agent", "AgentConfig", "AgentImport", "AgentImportOptions", "AgentInfo", "AgentManager", "AgentSettings", "AgentShell", "AgentStartOptions", "AgentState", "AgentTemplate",
    "AgentWatch", "AlreadyExistsError", "BackupOptions", "BackupReport", "BuildOptions", "BusyboxRoot", "CancelledError", "Check", "CheckStatus", "Command",
    "CommandError", "CopyLinks", "CopyOptions", "CopyResult", "CorruptError", "DebianAgentRoot", "DebianRoot",
    "DirectoryRoot", "DistributionKernel", "Egress",
    "Engine", "EngineVerdict", "ErrorCode", "ExecOptions", "ExecResult", "FileDescriptor", "FileInfo", "FileOptions", "FileType", "Files",
    "FireclawError",
    "ForkConfig", "GarbageReport", "Gateway", "GatewayAgent", "GatewayCost", "GatewayHttp", "GatewayInfo", "GatewayIrcServer", "GatewayRefusals", "GatewayServices", "GatewayUpstream",
    "GuestError", "Host", "HostOptions", "ImageConfig", "ImageInfo", "Images", "InternalError",
    "InvalidArgumentError", "InvalidStateError", "IoError", "KernelFile", "KernelOfImage", "KernelSource",
    "KernelUrl", "LlmServer", "LlmServers", "LogLevel", "LogSink", "MachineConfig", "MachineInfo", "MachineManager", "NatOptions", "Network", "NetworkChoice", "NetworkInfo", "NetworkLease",
    "NetworkMode", "NetworkObstacle", "NetworkRefusal", "NotFoundError", "OciRoot", "OutputCallback", "PermissionDeniedError",
    "Phase", "Pool", "PoolConfig", "Process", "Progress", "ProgressCallback", "ReconcileReport", "RestartPolicy",
    "RootSource", "Seconds", "Secrets", "ServiceInfo", "ServiceOptions", "ServiceState", "SetupOptions", "SetupReport",
    "Snapshot", "SnapshotInfo", "Snapshots", "StartMode", "StartOptions", "StopSource", "StrPath", "Stream", "TarRoot", "TendReport",
    "TimeoutError",
    "UnsupportedError", "UpgradeOptions", "UpgradeReport", "VM", "VMConfig", "VMInfo", "VMState", "VMs", "VmmError", "WindowSize", "Workspace",
    "WorkspaceCheck", "WorkspaceConfig", "WorkspaceInfo", "Workspaces", "run", "to_thread", "version",
]
__version__ = version()

T = TypeVar("T")

_default_host: Optional[Host] = None
_default_host_lock = threading.Lock()


def _host() -> Host:
    """The host that run() uses when none is given; opened once."""
    global _default_host
    with _default_host_lock:
        if _default_host is None:
            _default_host = Host.open()
        return _default_host


def run(
    command: Command,
    *,
    host: Optional[Host] = None,
    image: str = "busybox",
    cpus: int = 1,
    memory_mib: int = 128,
    network: Union[NetworkMode, str] = NetworkMode.NONE,
    workspace: str = "",
    machine: Optional[VMConfig] = None,
    env: Optional[Mapping[str, str]] = None,
    cwd: str = "",
    user: str = "",
    input: Union[bytes, str] = b"",
    input_fd: Optional[FileDescriptor] = None,
    timeout: Optional[Seconds] = None,
    stop: Optional[StopSource] = None,
    on_stdout: Optional[OutputCallback] = None,
    on_stderr: Optional[OutputCallback] = None,
) -> ExecResult:
    """Runs a command in its own machine, which is gone afterwards.

    `command` is a shell line (str), a program with its arguments (list), or ExecOptions, which then say all about the
    command; `machine` likewise says all about the machine. Without `host`: the home folder $FIRECLAW_HOME, else
    ~/.fireclaw. `timeout` is the command's, in seconds; when it has passed, the result's timed_out is set.

    InvalidStateError before setup, NotFoundError for an unknown image, and what VMs.run and VM.exec raise.
    """
    config = machine or VMConfig(image=image, cpus=cpus, memory_mib=memory_mib, network=network, workspace=workspace)
    if not isinstance(command, ExecOptions):
        command = _types.exec_options(command, env=env or {}, cwd=cwd, user=user, input=input, input_fd=input_fd,
                                      timeout=timeout, stop=stop, on_stdout=on_stdout, on_stderr=on_stderr)
    with (host or _host()).vms().run(config, StartOptions(stop=stop)) as vm:
        return vm.exec(command)


async def to_thread(function: Callable[..., T], *arguments: Any, **keywords: Any) -> T:
    """asyncio.to_thread for functions that take `stop`, alone or in `options`: cancelling the task ends what they do.

    What takes `options` with a stop must be given some.

        result = await asyncio.wait_for(fireclaw.to_thread(vm.exec, "make"), timeout=60)

    The thread's end is waited for, so that nothing of it runs when asyncio.CancelledError is raised.
    """
    options = keywords.get("options")
    source = StopSource(keywords.pop("stop", None) if options is None else options.stop)
    given = {"stop": source} if options is None else {"options": replace(options, stop=source)}
    thread = asyncio.ensure_future(asyncio.to_thread(function, *arguments, **{**keywords, **given}))
    try:
        return await asyncio.shield(thread)
    except asyncio.CancelledError:
        source.request_stop()
        await asyncio.wait([thread])
        if not thread.cancelled():
            thread.exception()  # Seen; the cancellation is what the caller asked for.
        raise

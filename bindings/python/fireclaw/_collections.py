"""What a Host has: host.vms(), host.images() and so on. Each is the host under another name, and holds nothing else."""

from __future__ import annotations

from typing import Any, Optional, Sequence

from ._fireclaw import (
    AgentManager, AgentShell, AgentWatch, Host, Image, Network, Process, Snapshot, StopSource, VM, Workspace,
)
from ._types import (
    AgentConfig, AgentInfo, AgentSettings, AgentTemplate, Command, ExecResult, FileDescriptor, ForkConfig, ImageConfig,
    ImageInfo, NetworkChoice, NetworkInfo, OutputCallback, ReconcileReport, Seconds, SnapshotInfo, VMConfig, VMInfo,
    WorkspaceConfig, WorkspaceInfo,
)

__all__ = ["Agent", "Agents", "HostNetwork", "Images", "Snapshots", "VMs", "Workspaces"]


class VMs:
    """A host's machines: Host.vms()."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def create(self, config: Optional[VMConfig] = None) -> VM:
        """Prepares a machine; nothing runs yet."""
        return VM.create(self._host, config)

    def run(self, config: Optional[VMConfig] = None) -> VM:
        """A machine that runs."""
        return VM.run(self._host, config)

    def attach(self, id: str) -> VM:
        """Takes hold of a detached machine by its id or name. NotFoundError."""
        return VM.attach(self._host, id)

    def list(self) -> Sequence[VMInfo]:
        """All whose engine runs, oldest first."""
        return VM.list(self._host)

    def kill(self, id: str) -> None:
        """Ends the machine with this id, also one that another process owns. NotFoundError."""
        VM.kill_by_id(self._host, id)


class Images:
    """A host's images: Host.images()."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def build(self, config: ImageConfig) -> ImageInfo:
        """Builds one."""
        return Image.build(self._host, config)

    def list(self) -> Sequence[ImageInfo]:
        """By name."""
        return Image.list(self._host)

    def info(self, name: str) -> ImageInfo:
        """NotFoundError if there is none of that name."""
        return Image.info(self._host, name)

    def remove(self, name: str) -> None:
        """Removes it, and its snapshots."""
        Image.remove(self._host, name)


class Snapshots:
    """A host's saved machines: Host.snapshots()."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def create(self, config: Optional[VMConfig] = None, name: str = "", replace: bool = False) -> Snapshot:
        """Boots a machine, saves it and ends it."""
        return Snapshot.create(self._host, config, name, replace)

    def open(self, name: str) -> Snapshot:
        """NotFoundError if there is none."""
        return Snapshot.open(self._host, name)

    def list(self) -> Sequence[SnapshotInfo]:
        """By name; torn ones are listed as unusable."""
        return Snapshot.list(self._host)

    def remove(self, name: str) -> None:
        """Removes it. Machines restored from it are not disturbed."""
        Snapshot.remove(self._host, name)


class Workspaces:
    """A host's workspaces: Host.workspaces()."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def create(self, config: WorkspaceConfig) -> Workspace:
        """AlreadyExistsError if the name is taken."""
        return Workspace.create(self._host, config)

    def create_from_tar(
        self, config: WorkspaceConfig, tar: FileDescriptor, stop: Optional[StopSource] = None
    ) -> Workspace:
        """One that holds what is in a tar."""
        return Workspace.create_from_tar(self._host, config, tar, stop)

    def open(self, name: str) -> Workspace:
        """NotFoundError if there is none."""
        return Workspace.open(self._host, name)

    def list(self) -> Sequence[WorkspaceInfo]:
        """By name; of broken ones `problem` says what is wrong."""
        return Workspace.list(self._host)

    def remove(self, name: str) -> None:
        """Removes it, also a broken one. InvalidStateError while somebody has it."""
        Workspace.remove(self._host, name)


class HostNetwork:
    """The host's side of the network that machines share: Host.network()."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def info(self) -> NetworkInfo:
        """Changes nothing."""
        return Network.info(self._host)

    def up(self) -> None:
        """Makes bridge and firewall, if they are not there as they should be."""
        Network.up(self._host)

    def down(self) -> bool:
        """Removes both. False if there was nothing."""
        return Network.down(self._host)

    def best_mode(self) -> NetworkChoice:
        """nat where it can be used, else none."""
        return Network.best_mode(self._host)


class Agent:
    """One agent, by its name. Every call is AgentManager's of that name."""

    def __init__(self, agents: AgentManager, name: str) -> None:
        self._agents = agents
        self._name = name

    def __repr__(self) -> str:
        return f"<Agent {self._name}>"

    @property
    def name(self) -> str:
        """Its name."""
        return self._name

    def info(self) -> AgentInfo:
        """What is known of it, quick. NotFoundError if there is no such agent."""
        return self._agents.info(self._name)

    def status(self, timeout: Seconds = 5.0) -> AgentInfo:
        """info(), with what the bot says of itself."""
        return self._agents.status(self._name, timeout)

    def stop(self, grace: Seconds = 5.0) -> None:
        """The bot says goodbye, and the machine ends."""
        self._agents.stop(self._name, grace)

    def restart(self, stop: Optional[StopSource] = None) -> AgentInfo:
        """Ends it if it runs, and starts it with the settings it has."""
        return self._agents.restart(self._name, stop)

    def remove(self) -> None:
        """Forgets it; its workspace stays. InvalidStateError while it runs."""
        self._agents.remove(self._name)

    def fork(self, config: ForkConfig) -> Agent:
        """A second agent from this one as it is now."""
        return Agent(self._agents, self._agents.fork(self._name, config).name)

    def snapshot(self, snapshot: str = "", replace: bool = False, stop: Optional[StopSource] = None) -> SnapshotInfo:
        """Saves it, under a name that AgentConfig.snapshot takes."""
        return self._agents.snapshot(self._name, snapshot, replace, stop)

    def reload(self, settings: AgentSettings) -> AgentInfo:
        """Other settings, without it leaving IRC."""
        return self._agents.reload(self._name, settings)

    def pause(self) -> None:
        """Stops its machine's CPUs."""
        self._agents.pause(self._name)

    def resume(self) -> None:
        """Resumes it."""
        self._agents.resume(self._name)

    def watch(self) -> AgentWatch:
        """Becomes readable once its machine has ended."""
        return self._agents.watch(self._name)

    def logs(self, lines: int = 0) -> str:
        """The last lines of what the bot wrote; 0: all that is kept."""
        return self._agents.logs(self._name, lines)

    def follow_logs(self, lines: int, on_output: OutputCallback, stop: Optional[StopSource] = None) -> None:
        """Delivers what the bot writes from now on, after the last `lines`."""
        self._agents.follow_logs(self._name, lines, on_output, stop)

    def memory(self) -> str:
        """MEMORY.md of its workspace."""
        return self._agents.memory(self._name)

    def exec(self, command: Command, **options: Any) -> ExecResult:
        """Runs a command in its machine, as `agent` in /workspace unless the options say otherwise."""
        return self._agents.exec(self._name, command, **options)

    def spawn(self, command: Command, **options: Any) -> Process:
        """Starts a command, likewise."""
        return self._agents.spawn(self._name, command, **options)

    def ssh(self, command: Optional[Command] = None, **options: Any) -> AgentShell:
        """Logs in by SSH as user `agent`."""
        return self._agents.ssh(self._name, command, **options)

    def machine(self) -> VM:
        """A handle on its machine."""
        return self._agents.machine(self._name)


class Agents:
    """A host's agents: Host.agents()."""

    def __init__(self, host: Host) -> None:
        self._agents = AgentManager(host)

    def templates(self) -> Sequence[AgentTemplate]:
        """What agents are made from, by name."""
        return self._agents.templates()

    def start(self, config: AgentConfig) -> Agent:
        """Starts an agent."""
        return Agent(self._agents, self._agents.start(config).name)

    def open(self, name: str) -> Agent:
        """The agent of that name. NotFoundError."""
        return Agent(self._agents, self._agents.info(name).name)

    def list(self) -> Sequence[AgentInfo]:
        """All, also stopped ones, by name."""
        return self._agents.list()

    def reconcile(self) -> ReconcileReport:
        """Compares what is recorded with what runs."""
        return self._agents.reconcile()

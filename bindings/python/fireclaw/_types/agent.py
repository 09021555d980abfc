"""What agent.hpp of C++ describes; written by cmake/describe.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Optional, Union

from .common import Seconds, Text
from .network import NetworkMode
from .vm import Phase, StartMode

if TYPE_CHECKING:
    from .._fireclaw import StopSource

__all__ = ["AgentConfig", "AgentInfo", "AgentSettings", "AgentState", "AgentTemplate", "ForkConfig", "ReconcileReport"]


@dataclass
class AgentTemplate:
    """What agents are made from: a file templates/NAME.json of the home folder, or one that comes with the library."""

    #: What it is called: the file's name without ".json".
    name: str
    #: What it is for, one line.
    description: str
    #: The agent's name and IRC nick unless another is given.
    nick: str
    #: As the LLM server calls it, e.g. "qwen2.5:7b".
    model: str
    #: The system prompt's first part.
    persona: str
    #: "mention": answers when addressed by nick. "all": every line. Anything else: also lines that begin with it.
    trigger: str
    #: Whether it may use tools (shell, files, containers, memory).
    tools: bool
    #: The IRC channels that it joins.
    channels: list[str]
    #: The image that its machine runs.
    image: str
    #: Virtual CPUs, 1–32.
    cpus: int
    #: The machine's memory in MiB.
    memory_mib: int
    #: Size of the persistent workspace when it is made for the first time.
    workspace_mib: int
    #: Size of the sparse disk under /home/agent, which lives as long as the machine.
    scratch_mib: int
    #: The file it was read from; None: it comes with the library.
    file: Optional[Path]


@dataclass
class AgentSettings:
    """What an agent is told anew: what is left out stays as it is."""

    #: As AgentTemplate.model.
    model: Optional[str] = None
    #: As AgentTemplate.persona.
    persona: Optional[str] = None
    #: As AgentTemplate.trigger.
    trigger: Optional[str] = None
    #: As AgentTemplate.tools.
    tools: Optional[bool] = None


@dataclass
class AgentConfig:
    """What agent to start, and how."""

    #: The template's name.
    template_name: str = ""
    #: The agent's name, IRC nick, and its workspace's name: 1–30 letters, digits, - _, beginning with a letter. Empty:
    #: the template's nick.
    name: str = ""
    #: Beyond the template; kept until the agent is removed.
    settings: AgentSettings = field(default_factory=AgentSettings)
    #: Virtual CPUs, 1–32, instead of the template's.
    cpus: Optional[int] = None
    #: Memory in MiB instead of the template's.
    memory_mib: Optional[int] = None
    #: None: nat where it can be used, else user.
    network: Optional[Union[NetworkMode, str]] = None
    #: Restoring starts agents of this image, size and network from the point where their bot waits to be told who it
    #: is; the first start makes that snapshot.
    start: Union[StartMode, str] = StartMode.PREFER_SNAPSHOT
    #: Lives on when this process ends. Otherwise it ends with it, or with the manager if that goes first.
    detached: bool = True
    #: From the call to the guest's configuration. In seconds.
    start_timeout: Seconds = 120.0
    #: How long to wait for the agent to be on IRC after that; when it is not, the agent is left running (it goes on
    #: trying) and AgentInfo.online is false. 0: do not wait. In seconds.
    join_timeout: Seconds = 60.0
    #: Triggered, it calls the start off: Error(Cancelled), and what was done is undone.
    stop: Optional[StopSource] = None
    #: The name of a snapshot of an agent (AgentManager.snapshot): this one goes on from there, with that one's memory,
    #: processes, disks and settings, and under its own name, address and machine id. Image, size and template are the
    #: snapshot's; `template_name` may be empty then. Empty: it begins anew.
    snapshot: str = ""


@dataclass
class ForkConfig:
    """A second agent from one that runs."""

    #: The new one's name, IRC nick and workspace's name, as AgentConfig.name.
    name: str = ""
    #: Beyond the first one's.
    settings: AgentSettings = field(default_factory=AgentSettings)
    #: As AgentConfig.detached.
    detached: bool = True
    #: From the copy to the guest's new identity. In seconds.
    start_timeout: Seconds = 120.0
    #: As AgentConfig.join_timeout. In seconds.
    join_timeout: Seconds = 60.0
    #: Triggered, it calls the copy or the start of the new one off: Error(Cancelled), and what was done is undone.
    stop: Optional[StopSource] = None


class AgentState(Text):
    """What an agent is doing, as far as its records and its engine's process tell."""

    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    CRASHED = "crashed"


@dataclass
class AgentInfo:
    """What is known of an agent."""

    #: Its name among agents, and that of its workspace unless another was given.
    name: str
    #: The template that it was started from.
    template_name: str
    #: As of the call.
    state: AgentState
    #: Its nick on IRC.
    nick: str
    #: The model it asks, with its own settings taken into account; likewise the next two.
    model: str
    #: When it answers; see AgentTemplate.trigger.
    trigger: str
    #: Whether it may use tools.
    tools: bool
    #: The name of its workspace.
    workspace: str
    #: The machine's id; empty while there is none.
    vm: str
    #: The image that its machine runs.
    image: str
    #: "firecracker", "qemu-kvm" or "qemu-tcg"; empty while there is no machine.
    engine: str
    #: "none", "user" or "nat" while there is a machine.
    network: str
    #: IPv4 address; empty without one of its own.
    address: str
    #: Virtual CPUs of its machine.
    cpus: int
    #: Memory of its machine in MiB.
    memory_mib: int
    #: The engine's process; 0 while there is none.
    engine_pid: int
    #: When it was started the last time; the epoch if never.
    started: datetime
    #: How long each part of the start took; only in what start() returns.
    phases: list[Phase]
    #: Whether the bot said, when it was last asked, that it is on IRC. Asked by start() and status().
    online: bool
    #: The IRC channels it is in, asked likewise.
    channels: list[str]
    #: How often its LLM failed it since the bot started, asked likewise.
    llm_errors: int
    #: Why it is not running or not well, in one line; empty if all is well.
    last_error: str
    #: Resident memory of the engine's process.
    memory_bytes: int
    #: CPU time of the engine's process. In seconds.
    cpu_time: float
    #: Lives on without the process that started it (AgentConfig.detached). Otherwise it is that process's to restart.
    detached: bool


@dataclass
class ReconcileReport:
    """What AgentManager.reconcile() found and did."""

    #: Agents whose machine runs and answers, or is paused.
    adopted: list[str]
    #: Agents that were found dead; what was left of their machines is removed.
    crashed: list[str]
    #: Ids of agents' machines that belong to no agent any more; they were ended.
    orphans: list[str]
    #: Agents that another process is starting or stopping at this moment; left alone.
    busy: list[str]
    #: Agents whose machine runs but did not answer within half a minute: it may be slow, stopped, or hang. Left alone;
    #: restart() ends it.
    silent: list[str]

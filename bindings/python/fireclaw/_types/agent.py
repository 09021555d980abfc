"""Agents."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Optional, Union

from .common import Seconds, Text
from .vm import Phase, StartMode
from .network import NetworkMode

if TYPE_CHECKING:
    from .._fireclaw import StopSource

__all__ = ["AgentConfig", "AgentInfo", "AgentSettings", "AgentState", "AgentTemplate", "ForkConfig", "ReconcileReport"]


class AgentState(Text):
    """An agent's state. CRASHED: its machine ended without having been told to."""

    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    CRASHED = "crashed"


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
    #: A snapshot of an agent (AgentManager.snapshot()) that this one goes on from; image, size and template are its own.
    snapshot: str = ""


@dataclass
class ForkConfig:
    """A second agent from one that runs."""

    #: The new one's name, IRC nick and workspace's name.
    name: str = ""
    #: Beyond the first one's.
    settings: AgentSettings = field(default_factory=AgentSettings)
    #: As in AgentConfig.
    detached: bool = True
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
    #: Lives on without the process that started it.
    detached: bool


@dataclass
class ReconcileReport:
    """What AgentManager.reconcile() found."""

    adopted: list[str]
    crashed: list[str]
    orphans: list[str]
    busy: list[str]
    #: Their machines run but did not answer in time; left alone.
    silent: list[str]

"""Long-lived programs of guests."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Mapping, Sequence, Union

from .common import Seconds, Text

__all__ = ["RestartPolicy", "ServiceInfo", "ServiceOptions", "ServiceState"]


class RestartPolicy(Text):
    """When a service that has ended is started again."""

    NEVER = "never"
    ON_FAILURE = "on-failure"
    ALWAYS = "always"


class ServiceState(Text):
    """A service's state."""

    RUNNING = "running"
    BACKING_OFF = "backing-off"
    STOPPED = "stopped"
    FAILED = "failed"


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

"""What service.hpp of C++ describes; written by cmake/describe.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Mapping, Sequence, Union

from .common import Seconds, Text

__all__ = ["RestartPolicy", "ServiceInfo", "ServiceOptions", "ServiceState"]


class RestartPolicy(Text):
    """When a service that has ended is started again. What was stopped by VM.stop_service stays stopped."""

    NEVER = "never"
    ON_FAILURE = "on-failure"
    ALWAYS = "always"


@dataclass
class ServiceOptions:
    """A long-lived program in a guest. It belongs to the guest, not to who started it: it runs on when the handle, the
    session or the host's process goes away, and in every machine restored from a snapshot in which it runs.
    """

    #: What it is known by: 1 to 64 letters, digits, '.', '-', '_', not beginning with '.' or '-'.
    name: str = ""
    #: Program, environment, working directory and user mean what they do in ExecOptions.
    argv: Sequence[str] = field(default_factory=list)
    #: Added to what the guest sets.
    env: Mapping[str, str] = field(default_factory=dict)
    #: In the guest.
    cwd: str = ""
    #: In the guest.
    user: str = ""
    #: The file in the guest that takes its stdout and stderr, absolute; its folder is made if need be. Empty:
    #: /var/log/fireclaw/NAME.log. It is root's, created with mode 0644, and never reached through a symbolic link.
    log: str = ""
    #: Once the log has grown to this, it is renamed to end in ".1", in place of the one before. 4 KiB to 1 GiB.
    log_limit_bytes: int = 1 << 20
    #: Whether it is started again when it has ended.
    restart: Union[RestartPolicy, str] = RestartPolicy.ON_FAILURE
    #: How long to wait before it is started again: at first, then doubled each time up to the longest. Once it has run
    #: for the longest, the count begins anew. 1 ms to a day. In seconds.
    backoff_first: Seconds = 0.5
    #: What the wait doubles up to. In seconds.
    backoff_longest: Seconds = 30.0


class ServiceState(Text):
    """What a service is doing."""

    RUNNING = "running"
    BACKING_OFF = "backing-off"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass
class ServiceInfo:
    """What a guest says of a service."""

    #: As ServiceOptions.name.
    name: str
    #: As of the guest's answer.
    state: ServiceState
    #: In the guest; 0 unless it is running.
    pid: int
    #: How often it was started again.
    restarts: int
    #: How it ended the last time, as ExecResult says it; both 0 if it has not ended yet.
    exit_code: int
    #: The signal that ended it the last time.
    signal: int
    #: How long it has been running, by the guest's clock; 0 unless it is running. In seconds.
    uptime: float
    #: Why it could not be started again the last time, or empty.
    problem: str

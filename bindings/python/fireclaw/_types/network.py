"""The network that machines share, and what one of them may do there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Sequence, Union

from .common import Text

__all__ = [
    "Egress", "NatOptions", "NetworkChoice", "NetworkInfo", "NetworkLease", "NetworkMode", "NetworkObstacle",
]


class NetworkMode(Text):
    """What a machine's network device leads to; with NONE there is none."""

    NONE = "none"
    USER = "user"
    NAT = "nat"


class Egress(Text):
    """Where a machine with NetworkMode.NAT may connect to outside the host."""

    NONE = "none"
    ALLOWLIST = "allowlist"
    INTERNET = "internet"


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

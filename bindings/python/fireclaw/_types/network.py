"""What network.hpp of C++ describes; written by cmake/describe.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Sequence, Union

from .common import Text

__all__ = ["Egress", "NatOptions", "NetworkChoice", "NetworkInfo", "NetworkLease", "NetworkMode", "NetworkObstacle"]


class NetworkMode(Text):
    """What a machine's network device leads to."""

    NONE = "none"
    USER = "user"
    NAT = "nat"


class Egress(Text):
    """Where a machine with NetworkMode.Nat may connect to outside the host."""

    NONE = "none"
    ALLOWLIST = "allowlist"
    INTERNET = "internet"


@dataclass
class NatOptions:
    """What a machine with NetworkMode.Nat may do. Whatever is said here, machines never reach each other, nor the
    host's other ports, nor link-local addresses such as the clouds' metadata services, and have no IPv6.
    """

    #: Where it may connect to outside the host.
    egress: Union[Egress, str] = Egress.INTERNET
    #: Destinations outside, beside what `egress` allows: "10.0.0.0/8", "192.0.2.7", "192.0.2.7:443",
    #: "192.0.2.7:53/udp", "example.org", "example.org:443". Without a port: all of them; without "/tcp" or "/udp":
    #: both. Host names are looked up once, when the machine starts. Of no use with Egress.None, and refused with it.
    allow: Sequence[str] = field(default_factory=list)
    #: Ports of the host that lead to ports of the machine: "8080:80", "127.0.0.1:8080:80", "5353:53/udp". Without an
    #: address: on all of the host's. A port that a program of the host listens on is refused.
    publish: Sequence[str] = field(default_factory=list)
    #: The gateway's services (NetworkInfo.services) may be used.
    services: bool = True


@dataclass
class NetworkObstacle:
    """Something that stands in the way of NetworkMode.Nat."""

    #: What it is, one line.
    problem: str
    #: What mends it.
    remedy: str


@dataclass
class NetworkLease:
    """An address on loan to a machine."""

    #: IPv4, as in "172.16.0.2".
    address: str
    #: The machine's hardware address, as in "02:fc:ac:10:00:02".
    mac: str
    #: The machine's interface on the host.
    tap: str
    #: VMInfo.id
    vm: str
    #: The process whose end ends the lease: the machine's owner, or the engine of a detached machine.
    holder_pid: int
    #: That process lives. Other leases are taken back by the next machine's start, or by Host.collect_garbage().
    alive: bool


@dataclass
class NetworkInfo:
    """The network that machines with NetworkMode.Nat share, as section "network" of config.json has it."""

    #: What stands in the way of using it here; empty if nothing does.
    obstacles: list[NetworkObstacle]
    #: The bridge is there and up.
    up: bool
    #: The interface's name.
    bridge: str
    #: "172.16.0.0/24"
    subnet: str
    #: The host's address on the bridge: the machines' gateway and name server.
    gateway: str
    #: Where questions to the gateway's name server are passed on to; empty if the host knows none that others could
    #: ask.
    resolver: str
    #: The gateway's ports that machines may use: "6667/tcp", "127.0.0.1:11434/tcp" (served on the host's loopback).
    services: list[str]
    #: How many machines can have an address at once.
    capacity: int
    #: The addresses on loan, in order.
    leases: list[NetworkLease]


@dataclass
class NetworkChoice:
    """The best network that machines can have here, and what that falls short of."""

    #: The best there is.
    mode: NetworkMode
    #: Why none that is better, one line; empty for NetworkMode.Nat.
    reason: str

"""What can happen on IRC, as values that a session hands to its owner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Union


@dataclass(frozen=True)
class Registered:
    """The server took us in; channels are being joined."""

    nick: str


@dataclass(frozen=True)
class Joined:
    channel: str


@dataclass(frozen=True)
class Left:
    """We are no longer in the channel: we left, or `by` kicked us."""

    channel: str
    reason: str
    by: str
    kicked: bool


@dataclass(frozen=True)
class Text:
    """Somebody said something in a channel we are in, or to us alone. Control characters are gone."""

    source: str
    # Where an answer goes: the channel, or the sender's nick; "@#channel" if the line was for some of the channel only.
    target: str
    private: bool
    text: str
    action: bool
    # The server marked the sender as a bot.
    bot: bool
    # The channel behind a target like "@#channel"; empty for any other.
    part_of: str = ""

    @property
    def channel(self) -> str:
        """The channel that it was said in; empty for a private line."""
        return "" if self.private else self.part_of or self.target

    @property
    def nick(self) -> str:
        return self.source.partition("!")[0]


@dataclass(frozen=True)
class Invited:
    source: str
    channel: str


@dataclass(frozen=True)
class NickChanged:
    nick: str


@dataclass(frozen=True)
class PeerGone:
    nick: str


@dataclass(frozen=True)
class PeerRenamed:
    old: str
    new: str


@dataclass(frozen=True)
class PeerInfo:
    """The answer to a look-up; not `found` if the server had none in time."""

    nick: str
    found: bool
    bot: bool
    realname: str


@dataclass(frozen=True)
class Trouble:
    """Something the operator may want to know; the connection stays up."""

    reason: str


@dataclass(frozen=True)
class Refused:
    """The server did not do what we asked it for."""

    # A channel or a nick; empty if the server did not say.
    target: str
    # Whether it was about joining; else it was about speaking there.
    joining: bool
    reason: str


@dataclass(frozen=True)
class Closing:
    """The connection is over and has to be closed."""

    reason: str


Event = Union[Registered, Joined, Left, Text, Invited, NickChanged, PeerGone, PeerRenamed, PeerInfo, Trouble,
              Refused, Closing]

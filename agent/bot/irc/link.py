"""Keeps the agent on IRC: connects (TLS if asked for), feeds the session, reconnects with a jittered backoff.

Everything runs on the event loop's thread. The owner gets the session's events through one callback and speaks
through `session`, which is None while there is no connection.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import socket
import ssl
from typing import Any, Callable, Dict, List, Optional, Set

from ..base.config import Config
from ..base.pacing import OUR_NETWORK, OUR_PACE, USUAL_PACE, Backoff, Pacer
from ..base.text import one_line
from .events import Closing, Event, Registered
from .session import Session

log = logging.getLogger("link")

# A connection that lasted this long was a good one: the next outage starts with short delays again.
_STABLE_S = 60.0
_LONGEST_NAP_S = 3600.0
_GOODBYE_S = 2.0


def _why(error: Exception) -> str:
    """The event loop puts words of its own around the system's; these are the system's."""
    if isinstance(error, OSError) and not isinstance(error, (ssl.SSLError, socket.gaierror)) and error.errno:
        return os.strerror(error.errno).lower()
    return one_line(str(error) or type(error).__name__)


def tls_context(config: Config) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=config.server.ca_file or None)
    except OSError as error:
        raise ValueError(f"server.ca_file '{config.server.ca_file}' cannot be used: {_why(error)}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not config.server.tls_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class _Wire(asyncio.Protocol):
    """The bytes of one connection."""

    def __init__(self, link: Link, session: Session, now: Callable[[], float]) -> None:
        self._link = link
        self._now = now
        self.session = session
        self.transport: Optional[asyncio.Transport] = None
        self.closed: "asyncio.Future[str]" = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._link.pump()

    def data_received(self, data: bytes) -> None:
        self._link.handle(self.session.feed(data, self._now()))

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()
        if not self.closed.done():
            self.closed.set_result("stopped")

    def connection_lost(self, error: Optional[Exception]) -> None:
        if not self.closed.done():
            reason = f"connection lost: {_why(error)}" if error else "the server closed the connection"
            refusal = f"{reason}: {self.session.refusal}" if self.session.refusal else reason
            self.closed.set_result(self.session.closing or refusal)


class Link:
    def __init__(self, config: Config, channels: Dict[str, str], on_event: Callable[[Event], None],
                 on_state: Callable[[], None], rng: random.Random) -> None:
        """`channels` maps channel names to keys; the link keeps using the owner's dictionary, so that a channel that
        is added or removed there is or is not joined after the next reconnect."""
        self._loop = asyncio.get_running_loop()
        self._config = config
        self._channels = channels
        self._on_event = on_event
        self._on_state = on_state
        self._rng = rng
        self._pacer = Pacer(*USUAL_PACE, self._loop.time())
        self._backoff = Backoff(config.limits.reconnect_first_s, config.limits.reconnect_max_s, rng)
        self._wire: Optional[_Wire] = None
        self._timer: Optional[asyncio.TimerHandle] = None
        self._wake = asyncio.Event()
        self._stopping = False
        self._reconnecting = False
        self.state = "starting"
        self.last_error = ""
        self.connections = 0

    @property
    def session(self) -> Optional[Session]:
        """The live session; None unless the server has finished greeting us and nobody has said goodbye."""
        wire = self._wire
        if wire is None or wire.closed.done():
            return None
        if not wire.session.ready or wire.session.closing or wire.session.quitting:
            return None
        return wire.session

    def now(self) -> float:
        return self._loop.time()

    async def run(self) -> None:
        """Stays connected until stop()."""
        while not self._stopping:
            self._wake.clear()
            delay = await self._one_connection()
            if self._stopping or self._reconnecting:
                self._reconnecting = False
                continue
            self._set_state("waiting")
            log.info("connecting again in %.1f s", delay)
            try:
                await asyncio.wait_for(self._wake.wait(), delay)
            except asyncio.TimeoutError:
                pass
        self._set_state("stopped")

    async def _one_connection(self) -> float:
        """From connecting to the end; returns how long to wait before the next."""
        config = self._config
        where = f"{config.server.host}:{config.server.port}"
        self._set_state("connecting")
        self._set_pace()
        session = Session(config, dict(self._channels), self._pacer, self._rng, self.now())
        wire = self._wire = _Wire(self, session, self.now)
        began: Optional[float] = None
        try:
            tls = tls_context(config) if config.server.tls else None
            connecting = self._loop.create_connection(
                lambda: wire, config.server.host, config.server.port, ssl=tls,
                server_hostname=config.server.host if tls else None,
                ssl_handshake_timeout=config.limits.connect_s if tls else None,
            )
            task = asyncio.ensure_future(connecting)
            # The connection may be called off (`closed`) before it stands.
            either: Set["asyncio.Future[Any]"] = {task, wire.closed}
            await asyncio.wait(either, timeout=config.limits.connect_s, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                task.cancel()
                raise asyncio.TimeoutError()
            task.result()
            began = self.now()
            self.connections += 1
            log.info("connected to %s", where)
            reason = await wire.closed
        except asyncio.TimeoutError:
            reason = f"no connection to {where} within {config.limits.connect_s:g} s"
        except (OSError, ValueError) as error:
            # Certificate errors are OSErrors, a host name that cannot be encoded is a ValueError.
            reason = f"no connection to {where}: {_why(error)}"
        finally:
            self._cancel_timer()
            self._wire = None
            if wire.transport is not None:
                wire.transport.abort()
            wire.closed.cancel()
        if self._stopping or self._reconnecting:
            log.info("disconnected")
            return 0.0
        self.last_error = reason
        log.warning("%s", reason)
        if not session.closing:
            self._dispatch(Closing(reason))
        if session.flooded:
            self._pacer.slow_down(self.now())
            log.warning("speaking %g times more slowly from now on", self._pacer.slowness)
        if session.unwelcome:
            return self._backoff.refused()
        if session.ready and began is not None and self.now() - began >= _STABLE_S:
            self._backoff.reset()
        return self._backoff.next()

    def _set_pace(self) -> None:
        """As the configuration says, else as fast as the server is known to take it."""
        wire, limits = self._wire, self._config.limits
        burst, interval = OUR_PACE if wire is not None and wire.session.features.network == OUR_NETWORK else USUAL_PACE
        self._pacer.set(limits.message_burst or burst, limits.message_interval_s or interval, self.now())

    def _set_state(self, state: str) -> None:
        if state != self.state:
            self.state = state
            self._on_state()

    def handle(self, events: List[Event]) -> None:
        for event in events:
            if isinstance(event, Registered):
                self._set_pace()
            self._dispatch(event)
        self.pump()

    def _dispatch(self, event: Event) -> None:
        try:
            self._on_event(event)
        except Exception:  # noqa: BLE001 - one bad event must not cost the connection
            log.exception("while handling %s", type(event).__name__)

    def pump(self) -> None:
        """Sends what may be sent now and arranges to be called when there is more to do."""
        self._cancel_timer()
        wire = self._wire
        if wire is None or wire.transport is None or wire.closed.done():
            return
        now = self.now()
        try:
            events = wire.session.tick(now)
            data = wire.session.transmit(now) if not events else b""
        except Exception:  # noqa: BLE001 - a session that cannot continue must not linger without a timer
            log.exception("while serving the connection")
            wire.abort()
            return
        if events:
            self.handle(events)
            return
        if wire.session.ready and self.state != "online":
            self._set_state("online")
        if data and not wire.transport.is_closing():
            wire.transport.write(data)
        if wire.session.closing:
            # Not close(): that would wait until a dead server has taken what is still to be sent.
            wire.transport.abort()
            return
        nap = min(_LONGEST_NAP_S, max(0.0, wire.session.deadline(now) - now))
        self._timer = self._loop.call_later(nap, self.pump)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def reconfigure(self, config: Config) -> None:
        """Takes over a new configuration: changes the nick in place, or reconnects if the server or who we are
        there has changed."""
        old, self._config = self._config, config
        if config.limits != old.limits:
            self._set_pace()
        self._backoff = Backoff(config.limits.reconnect_first_s, config.limits.reconnect_max_s, self._rng)
        if (old.server, old.user, old.realname) != (config.server, config.user, config.realname):
            self._end_connection("changing servers")
            self._reconnecting = self._wire is not None
            self._wake.set()
        elif self._wire is not None and config.nick != old.nick:
            self._wire.session.change_nick(config.nick, self.now())
            self.pump()

    def start_over(self, config: Config) -> None:
        """Drops the connection without a word and makes a new one."""
        self._config = config
        self._pacer = Pacer(*USUAL_PACE, self.now())
        self._backoff = Backoff(config.limits.reconnect_first_s, config.limits.reconnect_max_s, self._rng)
        self.connections = 0
        self.last_error = ""
        self._reconnecting = self._wire is not None
        self.abort()
        self._wake.set()

    def stop(self, reason: str) -> None:
        """Says goodbye; run() returns once the server has closed the connection. abort() does not wait for that."""
        self._stopping = True
        self._wake.set()
        self._end_connection(reason)

    def _end_connection(self, reason: str) -> None:
        wire = self._wire
        if wire is None:
            return
        if wire.transport is None:
            wire.abort()
            return
        wire.session.quit(reason)
        self.pump()
        # A server may ignore the QUIT.
        self._loop.call_later(_GOODBYE_S, wire.abort)

    def abort(self) -> None:
        """Drops the connection."""
        if self._wire is not None:
            self._wire.abort()

"""An IRC server that the test plays itself: it accepts, reads what the client sends, and says whatever it likes.

    with FakeIrc() as server:
        client = server.accept()
        client.welcome()                 # waits for NICK and USER, then greets
        client.expect("JOIN #agents")
        client.send(":alice!a@host PRIVMSG #agents :worker: hello")

Every wait is bounded and ends with an AssertionError that shows what was received instead.
"""

from __future__ import annotations

import re
import socket
import ssl
import time
from typing import List, Optional

TIMEOUT_S = 10.0


class FakeClient:
    """The server's end of one connection."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._buffer = b""
        self.received: List[str] = []
        self._read = 0
        self.nick = ""
        self.ended = False

    def raw(self, data: bytes) -> None:
        """Sends bytes as they are."""
        self._socket.sendall(data)

    def send(self, *lines: str) -> None:
        self.raw("".join(line + "\r\n" for line in lines).encode())

    def _more(self, deadline: float) -> bool:
        """Receives at least one more line; False at the end of the connection or of the time."""
        while b"\n" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0 or self.ended:
                return False
            self._socket.settimeout(left)
            try:
                data = self._socket.recv(65536)
            except socket.timeout:
                return False
            except (ConnectionResetError, ssl.SSLError, OSError):
                data = b""
            if not data:
                self.ended = True
                return False
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        self.received.append(line.rstrip(b"\r").decode("utf-8", "replace"))
        return True

    def expect(self, pattern: str, timeout: float = TIMEOUT_S) -> str:
        """The next line that fits the regular expression from its start; lines before it are skipped (and stay in
        `received`)."""
        deadline = time.monotonic() + timeout
        skipped: List[str] = []
        while True:
            if self._read == len(self.received) and not self._more(deadline):
                how = "the connection ended" if self.ended else f"nothing within {timeout} s"
                raise AssertionError(f"expected {pattern!r} but {how}; received since: {skipped}")
            line = self.received[self._read]
            self._read += 1
            if re.match(pattern, line):
                return line
            skipped.append(line)

    def expect_nothing(self, pattern: str, until: str) -> None:
        """No line fits `pattern` before one fits `until`."""
        start = self._read
        self.expect(until)
        for line in self.received[start : self._read]:
            if re.match(pattern, line):
                raise AssertionError(f"did not expect {line!r}")

    def sync(self) -> None:
        """Returns once the client has read everything sent so far."""
        token = f"sync{len(self.received)}"
        self.send(f"PING :{token}")
        self.expect(f"PONG :{token}")

    def expect_end(self, timeout: float = TIMEOUT_S) -> None:
        """The client closes the connection."""
        deadline = time.monotonic() + timeout
        while self._more(deadline):
            pass
        if not self.ended:
            raise AssertionError(f"the client kept the connection open for {timeout} s")

    def welcome(self, isupport: str = "CASEMAPPING=ascii NICKLEN=16 CHANTYPES=#&", modes: str = "iw") -> None:
        """Takes the client in under the nick it asked for last, without capabilities."""
        self.expect("CAP LS 302")
        self.nick = self.expect("NICK ").split(" ")[1]
        self.expect("USER ")
        self.send(":irc.test CAP * LS :")
        self.expect("CAP END")
        self.greet(isupport, modes)

    def greet(self, isupport: str = "CASEMAPPING=ascii NICKLEN=16 CHANTYPES=#&", modes: str = "iw") -> None:
        nick = self.nick
        self.send(f":irc.test 001 {nick} :Welcome", f":irc.test 004 {nick} irc.test fake-1 {modes} o",
                  f":irc.test 005 {nick} {isupport} :are supported", f":irc.test 422 {nick} :no MOTD")

    def joined(self, channel: str, user_host: str = "~agent@host.test") -> None:
        """Waits for the JOIN and grants it."""
        self.expect(f"JOIN {re.escape(channel)}")
        self.send(f":{self.nick}!{user_host} JOIN {channel}", f":irc.test 366 {self.nick} {channel} :end")

    def whois(self, nick: str, realname: str = "Somebody", bot: bool = False) -> None:
        """Waits for the WHOIS and answers it."""
        self.expect(f"WHOIS {re.escape(nick)}$")
        self.send(f":irc.test 311 {self.nick} {nick} u h * :{realname}")
        if bot:
            self.send(f":irc.test 335 {self.nick} {nick} :is a bot")
        self.send(f":irc.test 318 {self.nick} {nick} :end")

    def close(self) -> None:
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._socket.close()


class FakeIrc:
    """The listening socket, on a free port of the loopback interface unless one is given."""

    def __init__(self, tls: Optional[ssl.SSLContext] = None, port: int = 0) -> None:
        self._tls = tls
        self._socket = socket.create_server(("127.0.0.1", port))
        self.port: int = self._socket.getsockname()[1]
        self._clients: List[FakeClient] = []

    def __enter__(self) -> FakeIrc:
        return self

    def __exit__(self, *_: object) -> None:
        for client in self._clients:
            client.close()
        self._socket.close()

    def accept(self, timeout: float = TIMEOUT_S) -> FakeClient:
        self._socket.settimeout(timeout)
        try:
            sock, _ = self._socket.accept()
        except socket.timeout:
            raise AssertionError(f"nobody connected within {timeout} s") from None
        sock.settimeout(timeout)
        if self._tls is not None:
            sock = self._tls.wrap_socket(sock, server_side=True)
        client = FakeClient(sock)
        self._clients.append(client)
        return client

    def accept_nobody(self, seconds: float) -> None:
        """Nobody connects for so long."""
        self._socket.settimeout(seconds)
        try:
            self._socket.accept()[0].close()
        except socket.timeout:
            return
        raise AssertionError("somebody connected")

"""A human on a real IRC server: connects, says things, waits for lines. Every wait is bounded."""

from __future__ import annotations

import re
import socket
import time
from typing import List

TIMEOUT_S = 15.0


class Human:
    def __init__(self, port: int, nick: str, host: str = "127.0.0.1", timeout: float = TIMEOUT_S,
                 password: str = "") -> None:
        """Connects (again and again until there is a server) and registers."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                self._socket = socket.create_connection((host, port), timeout)
                break
            except ConnectionRefusedError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
        self.nick = nick
        self._buffer = b""
        self.received: List[str] = []
        self._read = 0
        if password:
            self.send(f"PASS {password}")
        self.send(f"NICK {nick}", f"USER {nick} 0 * :{nick.capitalize()}")
        self.expect(r"\S+ (376|422) ")

    def __enter__(self) -> Human:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, *lines: str) -> None:
        self._socket.sendall("".join(line + "\r\n" for line in lines).encode())

    def say(self, target: str, text: str) -> None:
        self.send(f"PRIVMSG {target} :{text}")

    def join(self, channel: str) -> None:
        self.send(f"JOIN {channel}")
        self.expect(rf"\S+ 366 \S+ {re.escape(channel)} ")

    def _more(self, deadline: float) -> bool:
        while b"\n" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self._socket.settimeout(left)
            try:
                data = self._socket.recv(65536)
            except socket.timeout:
                return False
            if not data:
                raise AssertionError(f"the server closed {self.nick}'s connection; received last: {self.received[-5:]}")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        text = line.rstrip(b"\r").decode("utf-8", "replace")
        if text.startswith("PING"):
            self.send("PONG" + text[4:])
        else:
            self.received.append(text)
        return True

    def expect(self, pattern: str, timeout: float = TIMEOUT_S) -> str:
        """The next line that fits the regular expression from its start (after the colon of the source)."""
        deadline = time.monotonic() + timeout
        start = self._read
        while True:
            while self._read < len(self.received):
                line = self.received[self._read].lstrip(":")
                self._read += 1
                if re.match(pattern, line):
                    return line
            if not self._more(deadline):
                raise AssertionError(f"{self.nick} expected {pattern!r} within {timeout} s; received since: {self.received[start:]}")

    def hears(self, nick: str, target: str, pattern: str, timeout: float = TIMEOUT_S) -> str:
        """What `nick` says to `target` next that fits the pattern from its start."""
        line = self.expect(rf"{re.escape(nick)}!\S+ PRIVMSG {re.escape(target)} :{pattern}", timeout)
        return line.split(" :", 1)[1]

    def collect(self, until: str, timeout: float = TIMEOUT_S) -> List[str]:
        """Everything up to a line that fits."""
        start = self._read
        self.expect(until, timeout)
        return [line.lstrip(":") for line in self.received[start : self._read]]

    def register(self, password: str) -> None:
        """Makes an account of its nick with the network's services, and is logged in to it then."""
        self.say("NickServ", f"REGISTER {password} {self.nick}@irc.test")
        self.expect(r"\S+ 900 ")

    def nicks(self, channel: str) -> List[str]:
        self.send(f"NAMES {channel}")
        line = self.expect(rf"\S+ 353 \S+ . {re.escape(channel)} :")
        self.expect(r"\S+ 366 ")
        return sorted(nick.lstrip("@+%&~") for nick in line.split(" :", 1)[1].split())

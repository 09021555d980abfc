#!/usr/bin/python3
"""Starts a crew of agents, gives each the same task on IRC, prints what they answer, and stops them.

usage: agent_crew.py [--irc HOST:PORT] [--template NAME] [--names A,B,...] [--seconds N] TASK
e.g.   agent_crew.py --names ann,ben,cleo "Name one reason to prefer tea to coffee."

Needs `fireclaw setup --agents`, and the IRC and LLM servers that the template or config.json name; --irc is that IRC
server as this program sees it.
"""

from __future__ import annotations

import argparse
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Iterator

import fireclaw

NICK = "foreman"
#: An answer may have several lines; it is over after so many seconds without one.
QUIET_SECONDS = 3.0


class Irc:
    """A connection that talks to agents in private."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._socket = socket.create_connection(address, timeout=30)
        self._received = b""
        self._send(f"NICK {NICK}", f"USER {NICK} 0 * :{NICK}")
        if not any(line.split(" ")[1:2] == ["001"] for line in self._lines(time.monotonic() + 30)):
            sys.exit("the IRC server does not let us in")

    def __enter__(self) -> Irc:
        return self

    def __exit__(self, *_: object) -> None:
        self._send("QUIT :done")
        self._socket.close()

    def _send(self, *lines: str) -> None:
        self._socket.sendall("".join(f"{line}\r\n" for line in lines).encode())

    def _lines(self, until: float) -> Iterator[str]:
        """The lines that the server sends until the given time."""
        while (left := until - time.monotonic()) > 0:
            line, separator, rest = self._received.partition(b"\r\n")
            if separator:
                self._received = rest
                text = line.decode(errors="replace")
                if text.startswith("PING "):
                    self._send("PONG " + text[5:])
                else:
                    yield text
                continue
            self._socket.settimeout(left)
            try:
                received = self._socket.recv(4096)
            except socket.timeout:
                return
            if not received:
                sys.exit("the IRC server closed the connection")
            self._received += received

    def ask(self, nicks: list[str], task: str, seconds: float) -> dict[str, list[str]]:
        """The lines with which each agent answers the task."""
        for nick in nicks:
            self._send(f"PRIVMSG {nick} :{task}")
        answers: dict[str, list[str]] = {nick: [] for nick in nicks}
        until = time.monotonic() + seconds
        while True:
            for line in self._lines(until):
                source, _, message = line.partition(f" PRIVMSG {NICK} :")
                nick = source[1:].partition("!")[0]
                if message and nick in answers:
                    answers[nick].append(message)
                    break
            else:
                return answers
            if all(answers.values()):
                until = min(until, time.monotonic() + QUIET_SECONDS)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--irc", default="127.0.0.1:6667", metavar="HOST:PORT")
    parser.add_argument("--template", default="quick", metavar="NAME")
    parser.add_argument("--names", default="ann,ben,cleo", metavar="A,B,...")
    parser.add_argument("--seconds", type=float, default=300, metavar="N", help="how long to wait for the answers")
    parser.add_argument("task")
    given = parser.parse_args()
    server, _, port = given.irc.rpartition(":")
    names = given.names.split(",")

    agents = fireclaw.Host.open().agents()

    def start(name: str) -> tuple[fireclaw.Agent, float]:
        began = time.monotonic()
        # Not detached: if this program is killed, they end too.
        agent = agents.start(fireclaw.AgentConfig(given.template, name, detached=False))
        return agent, time.monotonic() - began

    def stop(name: str) -> None:
        try:
            agents.open(name).stop()
        except fireclaw.NotFoundError:
            pass  # It has never been started.

    with ThreadPoolExecutor(len(names)) as threads:
        try:
            for agent, seconds in threads.map(start, names):
                print(f"{agent.name} [{agent.info().model}] started in {seconds:.1f} s")
            with Irc((server, int(port))) as irc:
                answers = irc.ask(names, given.task, given.seconds)
        finally:
            list(threads.map(stop, names))
    for name, lines in answers.items():
        print(f"{name}: " + ("\n" + " " * (len(name) + 2)).join(lines or ["(no answer)"]))
    return 0 if all(answers.values()) else 1


if __name__ == "__main__":
    sys.exit(main())

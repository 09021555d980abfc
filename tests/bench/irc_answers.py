#!/usr/bin/python3
"""How long the overseer takes to answer on IRC, on the server that `fireclaw irc` runs, with agents that are not machines.

    irc_answers.py build/release/tests/overseer_with_fakes [AGENTS]

Prints a line a command: the median and the longest time to its first line, and to its last."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import List, Tuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))

from irc_client import Human  # noqa: E402

ROUNDS = 20
# People do not ask more often.
PAUSE_S = 0.1
SAID = r"overseer!\S+ PRIVMSG #control :"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port: int = unused.getsockname()[1]
        return port


def answer(human: Human, command: str, last: str) -> Tuple[float, float]:
    """Milliseconds to the first line and to the one that fits `last`, once all that was said before has been heard."""
    human.say("#control", "!version")
    human.expect(SAID + "fireclaw ")
    time.sleep(PAUSE_S)
    began = time.monotonic()
    human.say("#control", command)
    line = human.expect(SAID)
    first = time.monotonic()
    while not re.search(last, line):
        line = human.expect(SAID)
    return (first - began) * 1e3, (time.monotonic() - began) * 1e3


def measure(human: Human, agents: int) -> None:
    def show(what: str, times: List[Tuple[float, float]]) -> None:
        firsts, lasts = sorted(first for first, _ in times), sorted(last for _, last in times)
        print(f"{what:34} first line {firsts[len(times) // 2]:6.1f} ms (longest {firsts[-1]:6.1f}), "
              f"last line {lasts[len(times) // 2]:6.1f} ms (longest {lasts[-1]:6.1f})", flush=True)

    for index in range(agents):
        human.say("#control", f"!invoke quick q{index}")
    for _ in range(agents):
        human.expect(SAID + r'Agent "q\d+" started', 60)
    show("!templates right after !help", [answer(human, "!help\r\nPRIVMSG #control :!templates", r"\bworker ") for _ in range(ROUNDS)])
    # The last agent of the list, as the overseer sorts them.
    last = sorted(f"q{index}" for index in range(agents))[-1]
    for command, end in (("!help", "Commands:"), ("!version", "fireclaw"), ("!status q0", "q0 "), ("!logs q0", "."),
                         ("!memory q0", "."), (f"!list ({agents} agents)", rf"\b{last} \[")):
        show(command, [answer(human, command.split(" (")[0], end) for _ in range(ROUNDS)])
    for index in range(6, agents):
        human.say("#control", f"!destroy q{index}")
        human.expect(SAID + ".* destroyed", 60)
    show("!stopall (6 agents)", [answer(human, "!stopall", "^.*:(Stopped|No agent)")])


def main() -> None:
    program, agents = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 30
    home, port = tempfile.mkdtemp(prefix="fireclaw-bench-"), free_port()
    Path(home, "overseer.json").write_text(f'{{"port": {port}}}', encoding="utf-8")
    started: List["subprocess.Popen[bytes]"] = []
    try:
        for words in (["irc", "--port", str(port)], []):
            with open(os.path.join(home, "log"), "ab") as log:
                started.append(subprocess.Popen([program, "--home", home, *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log))
            if words:
                human = Human(port, "alice")
                human.join("#control")
        human.hears("overseer", "#control", "Overseer of fireclaw")
        measure(human, agents)
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait(20)
        shutil.rmtree(home)


if __name__ == "__main__":
    main()

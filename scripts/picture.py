#!/usr/bin/python3
"""Records what fireclaw does as a cast, and draws casts as animated pictures. Needs nothing but Python.

usage: picture.py run CAST FIRECLAW          records commands in machines, through a terminal
       picture.py crew CAST FIRECLAW         records a crew of agents in an IRC channel
       picture.py draw CAST SVG              draws a cast; one that was drawn before gives the same bytes

A cast is in asciinema's format, version 2. Output and its times are as recorded; only the typing is made up. Drawn, a
wait of more than three seconds takes three. The home folder is that of FIRECLAW_HOME, set up (for a crew with
`fireclaw setup --agents`).

A crew is recorded in a network namespace that the script makes, as root, with the tests' IRC server and with their model
that follows a script (tests/support): the agents, their machines and the commands in them are real, the model's words are
not a model's.
"""

from __future__ import annotations

import contextlib
import html
import json
import os
import pty
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Iterator

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = 112
TYPED_S = 0.03
BEFORE_S = 0.8
COMMANDS = [
    'fireclaw run "uname -sr"',
    'fireclaw run -v --net none "ls /sys/class/net"',
    'seq 1000 | fireclaw run "wc -l"',
    'fireclaw run "echo hello; exit 3"; echo "status $?"',
    "fireclaw vm list",
]


class Cast:
    """Lines with times since the start. Time that nobody needs to see can be left out."""

    def __init__(self) -> None:
        self.events: list[tuple[float, str]] = []
        self.now = 0.0
        self._mark = time.monotonic()

    def start(self) -> None:
        """From here on time counts."""
        self._mark = time.monotonic()

    def tick(self) -> None:
        now = time.monotonic()
        self.now += now - self._mark
        self._mark = now

    def add(self, text: str) -> None:
        self.events.append((round(self.now, 3), text))

    def type(self, text: str) -> None:
        self.now += BEFORE_S
        for letter in text:
            self.now += TYPED_S
            self.add(letter)

    def write(self, path: Path, title: str) -> None:
        header = {"version": 2, "width": COLUMNS, "height": 24, "title": title}
        lines = [json.dumps(header)] + [json.dumps([at, "o", text], ensure_ascii=False) for at, text in self.events]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def record_run(fireclaw: Path) -> Cast:
    cast = Cast()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "fireclaw").write_text(f"#!/bin/sh\nexec '{fireclaw}' \"$@\"\n")
        (Path(folder) / "fireclaw").chmod(0o755)
        environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "COLUMNS": str(COLUMNS), "NO_COLOR": "1",
                       "FIRECLAW_NET": "none"}
        for command in COMMANDS:
            cast.add("$ ")
            cast.type(command)
            cast.add("\r\n")
            cast.start()
            pid, terminal = pty.fork()
            if pid == 0:
                os.execvpe("bash", ["bash", "-c", command], environment)
            with contextlib.suppress(OSError):  # The end of a terminal is an error.
                while data := os.read(terminal, 4096):
                    cast.tick()
                    cast.add(data.decode(errors="replace"))
            os.close(terminal)
            os.waitpid(pid, 0)
            cast.tick()
    return cast


@contextlib.contextmanager
def program(*words: str | Path) -> Iterator[None]:
    child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        child.terminate()
        child.wait()


def record_crew(fireclaw: Path) -> Cast:
    # What the tests of agents are made of; it is told where program and home folder are through the environment.
    os.environ.update(FIRECLAW_PROGRAM=str(fireclaw),
                      FIRECLAW_BUILD_HOME=os.environ.get("FIRECLAW_HOME") or str(Path.home() / ".fireclaw"))
    sys.path.insert(0, str(ROOT / "tests/agents"))
    import crew

    crew.enter_private_network()
    say = {"role": "user"}
    rules = [
        {"when": {"text": "kernel", **say}, "reply": {"calls": [{"name": "run_command", "arguments": {"command": "uname -r"}}]}},
        {"when": {"role": "tool", "text": "cloud"}, "reply": {"content": "It is Debian's cloud kernel, 6.1: uname -r says so."}},
        {"when": {"text": "remember", **say}, "reply": {"content": "I was asked about the kernel: Debian's, 6.1."}},
        {"reply": {"content": "Yes."}},
    ]
    cast = Cast()
    with tempfile.TemporaryDirectory() as folder, crew.ScriptedLlm(rules, host="0.0.0.0", port=11434):
        irc = crew.ngircd.Ngircd(folder, listen="0.0.0.0", port=6667)
        try:
            with crew.Human(irc.port, "alice") as alice, program(fireclaw, "overseer", "--operator", "alice!*@*"):
                alice.join("#control")
                alice.expect(r"overseer!\S+ JOIN .*#control")
                alice.join("#agents")

                def ask(channel: str, text: str, answerer: str, pattern: str) -> None:
                    cast.add(f"{channel:9} <alice>    ")
                    cast.type(text)
                    cast.add("\r\n")
                    alice.say(channel, text)
                    cast.start()
                    heard = alice.hears(answerer, channel, pattern, timeout=crew.START_SECONDS)
                    cast.tick()
                    cast.add(f"{channel:9} {'<' + answerer + '>':10} {heard}\r\n")

                ask("#control", "!invoke worker", "overseer", 'Agent "worker" started')
                ask("#agents", "worker: which kernel do you run?", "worker", "")
                ask("#control", "!fork worker ada", "overseer", 'Agent "ada" started')
                ask("#agents", "ada: do you remember what I asked?", "ada", "")
                ask("#control", "!pause ada", "overseer", 'Agent "ada" is paused')
                ask("#control", "!list", "overseer", "ada .* worker ")
        finally:
            irc.stop()
            for name in crew.agents():
                for words in (("agent", "stop", name), ("agent", "remove", name), ("workspace", "remove", name)):
                    crew.fireclaw(*words)
    return cast


# Drawing.

LINE, CHARACTER, MARGIN = 18, 8.4, 16
# A longer wait is drawn as this long; how long the last lines stay.
LONGEST_WAIT_S, REST_S = 3.0, 5.0
COLOURS = {"prompt": "#7fd18b", "person": "#7fd18b", "agent": "#8ab4f8", "note": "#9aa0a6", "text": "#e8eaed"}
SPEECH = re.compile(r"^(#\S+ +)(<(\S+)>)( +)(.*)$")


def shortened(events: list[tuple[float, str]]) -> Iterator[tuple[float, str]]:
    before = now = 0.0
    for at, text in events:
        now += min(at - before, LONGEST_WAIT_S)
        before = at
        yield now, text


def lines_of(events: list[tuple[float, str]]) -> list[tuple[float, str]]:
    """The lines of a terminal that is never full, each with the time at which it was whole."""
    lines: list[tuple[float, str]] = []
    held, at = "", 0.0
    for at, text in events:
        for part in re.split(r"(\n)", re.sub(r"\x1b\[[0-9;]*[A-Za-z]|\r", "", text)):
            if part == "\n":
                for first in range(0, max(len(held), 1), COLUMNS):
                    lines.append((at, held[first : first + COLUMNS]))
                held = ""
            else:
                held += part
    return lines + ([(at, held)] if held else [])


def spans_of(line: str) -> list[tuple[str, str]]:
    """A line's parts, each with the name of its colour."""
    if line.startswith("$ "):
        return [("prompt", "$ "), ("text", line[2:])]
    if line.startswith("fireclaw: "):
        return [("note", line)]
    if found := SPEECH.match(line):
        who = "person" if found.group(3) == "alice" else "agent"
        return [("note", found.group(1)), (who, found.group(2)), ("text", found.group(4) + found.group(5))]
    return [("text", line)]


def draw(cast: str) -> str:
    header, *rest = [json.loads(line) for line in cast.splitlines()]
    lines = lines_of(list(shortened([(at, text) for at, _, text in rest])))
    total = round(lines[-1][0] + REST_S, 3)
    width, height = round(2 * MARGIN + COLUMNS * CHARACTER), 2 * MARGIN + (len(lines) + 1) * LINE
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">',
        f"<title>{html.escape(header['title'])}</title>",
        f'<rect width="{width}" height="{height}" rx="8" fill="#202124"/>',
        '<g font-family="ui-monospace, Menlo, Consolas, monospace" font-size="14" xml:space="preserve">',
    ]
    before: list[tuple[str, str]] = []
    for number, (at, line) in enumerate(lines):
        # A line that is as wide as the terminal continues in the next.
        parts_of = [(before[-1][0], line)] if number and len(lines[number - 1][1]) == COLUMNS else spans_of(line)
        before = parts_of
        # Without animation every line is there.
        appears = (f'<animate attributeName="opacity" values="0;1" keyTimes="0;{at / total:.4f}" dur="{total}s" '
                   'calcMode="discrete" repeatCount="indefinite"/>')
        spans = "".join(f'<tspan fill="{COLOURS[colour]}">{html.escape(text)}</tspan>' for colour, text in parts_of)
        parts.append(f'<text x="{MARGIN}" y="{MARGIN + (number + 1) * LINE}" textLength="{len(line) * CHARACTER:.1f}">'
                     f"{appears}{spans}</text>")
    return "\n".join([*parts, "</g>", "</svg>"]) + "\n"


def main() -> int:
    words = sys.argv[1:]
    if len(words) != 3 or words[0] not in ("run", "crew", "draw"):
        print("\n".join(str(__doc__).splitlines()[2:5]), file=sys.stderr)
        return 2
    verb, cast, other = words[0], Path(words[1]), Path(words[2]).resolve()
    if verb == "draw":
        other.write_text(draw(cast.read_text(encoding="utf-8")), encoding="utf-8")
    elif verb == "run":
        record_run(other).write(cast, "Commands in microVMs, with fireclaw run")
    else:
        record_crew(other).write(cast, "A crew of agents in an IRC channel, with fireclaw overseer")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Real shells on real terminals, asked how they complete a line."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import time
from pathlib import Path

LIMIT_SECONDS = 60


class Terminal:
    """A program on a pseudo-terminal: what is typed goes in, what it shows can be waited for."""

    def __init__(self, argv: list[str], environment: dict[str, str], folder: Path) -> None:
        self.seen = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execvpe(argv[0], argv, environment)

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def wait_for(self, text: bytes) -> None:
        end = time.monotonic() + LIMIT_SECONDS
        while text not in self.seen:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.fd], [], [], left)[0]:
                raise AssertionError(f"{text!r} did not come: {self.seen[-2000:]!r}")
            try:
                self.seen += os.read(self.fd, 65536)
            except OSError as problem:
                raise AssertionError(f"the shell ended: {self.seen[-2000:]!r}") from problem

    def close(self) -> None:
        os.close(self.fd)
        os.waitpid(self.pid, 0)


def _words(shell: list[str], preparation: str, line: str, environment: dict[str, str], folder: Path) -> list[str]:
    """What the line becomes when everything that can stand at its end is put there: each shell has a key for that."""
    terminal = Terminal(shell, environment, folder)
    try:
        terminal.type(preparation + "\n")
        terminal.wait_for(b"pre" + b"pared")
        terminal.type(line + "\x18a")  # put all in
        terminal.type("\x18w")  # write the line out
        terminal.wait_for(b"\x02")
        terminal.wait_for(b"\x03")
        text = terminal.seen.rpartition(b"\x02")[2].partition(b"\x03")[0].decode()
    finally:
        terminal.close()
    return text[len(line.rpartition(" ")[0]):].split()


def bash(line: str, script: Path, environment: dict[str, str], folder: Path) -> list[str]:
    preparation = (f"source '{script}'; bind '\"\\C-xa\": insert-completions'; "
                   "show() { printf '\\002%s\\003' \"$READLINE_LINE\"; }; "
                   "bind -x '\"\\C-xw\": show'; echo pre''pared")
    return _words(["bash", "--norc", "--noprofile", "-i"], preparation, line, environment, folder)


def zsh(line: str, script: Path, environment: dict[str, str], folder: Path) -> list[str]:
    preparation = (f"fpath=('{script.parent}' $fpath); autoload -U compinit; compinit -D -u; setopt NO_BEEP; "
                   "zstyle ':completion:all:*' completer _all_matches _complete; "
                   "zstyle ':completion:*' insert true; zle -C all complete-word _generic; "
                   "show() { printf '\\002%s\\003' \"$BUFFER\" }; zle -N show; bindkey '^Xa' all; bindkey '^Xw' show; "
                   "print pre''pared")
    return _words(["zsh", "-f", "-i"], preparation, line, environment, folder)


def fish(line: str, script: Path, environment: dict[str, str], folder: Path) -> list[str]:
    asked = subprocess.run(["fish", "--no-config", "-c", f"source '{script}'; complete -C '{line}'"], env=environment,
                           cwd=folder, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=True)
    return [re.split("\t", each)[0] for each in asked.stdout.splitlines()]

"""Commands for guests."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Mapping, Optional, Sequence, Union

from .common import FileDescriptor, OutputCallback, Seconds

if TYPE_CHECKING:
    from .._fireclaw import StopSource

__all__ = ["Command", "ExecOptions", "ExecResult", "WindowSize"]


@dataclass
class WindowSize:
    """A terminal's size in character cells."""

    rows: int = 24
    columns: int = 80


@dataclass
class ExecOptions:
    """A command for a guest, and how to run it."""

    #: Program and arguments, run as they are; see shell().
    argv: Sequence[str] = field(default_factory=list)
    #: Added to the guest's own.
    env: Mapping[str, str] = field(default_factory=dict)
    #: Working directory; empty: the image's, else the user's home.
    cwd: str = ""
    #: Name or "uid[:gid]" in the guest; empty: the image's, else root.
    user: str = ""
    #: What the command reads on stdin, ...
    input: Union[bytes, str] = b""
    #: ... or an open file that is read to its end, through its descriptor.
    input_fd: Optional[FileDescriptor] = None
    #: Give the command a terminal of its own.
    tty: bool = False
    window_size: WindowSize = field(default_factory=WindowSize)
    #: Seconds, then SIGKILL, and ExecResult.timed_out is set.
    timeout: Optional[Seconds] = None
    #: Ends the command: SIGTERM, two seconds later SIGKILL; ExecResult.cancelled is set.
    stop: Optional[StopSource] = None
    #: Called with output as it appears; without, it is collected.
    on_stdout: Optional[OutputCallback] = None
    on_stderr: Optional[OutputCallback] = None
    #: Bytes collected per stream; what comes after is dropped and ExecResult.truncated is set.
    max_output_bytes: int = 64 << 20

    @staticmethod
    def shell(line: str) -> ExecOptions:
        """Options that run `line` with the guest's /bin/sh -c."""
        return ExecOptions(argv=["/bin/sh", "-c", line])


#: A shell line, a program with its arguments, or all of it.
Command = Union[str, Sequence[str], ExecOptions]


def exec_options(command: Command, **keywords: Any) -> ExecOptions:
    """`command` as ExecOptions, with fields replaced by keywords."""
    if isinstance(command, ExecOptions):
        return replace(command, **keywords)
    argv = ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)
    return ExecOptions(argv=argv, **keywords)


@dataclass
class ExecResult:
    """How a command ended."""

    #: As a shell gives it: 128 + the signal, 126 / 127 if it could not be executed / was not found.
    exit_code: int = 0
    #: The signal that ended it, or 0.
    signal: int = 0
    timed_out: bool = False
    cancelled: bool = False
    #: Collected output was cut at max_output_bytes.
    truncated: bool = False
    out: bytes = b""
    err: bytes = b""
    #: Seconds, on the host's steady clock.
    duration: float = 0.0

    @property
    def text(self) -> str:
        """`out` as text; what is not UTF-8 is replaced."""
        return self.out.decode(errors="replace")

    @property
    def err_text(self) -> str:
        """`err` as text; what is not UTF-8 is replaced."""
        return self.err.decode(errors="replace")

    @property
    def ok(self) -> bool:
        """It ended by itself, with status 0."""
        return self.exit_code == 0 and not self.timed_out and not self.cancelled

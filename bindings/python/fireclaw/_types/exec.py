"""What exec.hpp of C++ describes; written by cmake/describe.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Mapping, Optional, Sequence, TypedDict, Union

from .common import FileDescriptor, OutputCallback, Seconds
from .methods import ExecOptionsMethods, ExecResultMethods

if TYPE_CHECKING:
    from .._fireclaw import StopSource

__all__ = ["ExecOptions", "ExecResult", "WindowSize"]


@dataclass
class WindowSize:
    """A terminal's size in character cells."""

    #: Lines.
    rows: int = 24
    #: Characters in a line.
    columns: int = 80


@dataclass
class ExecOptions(ExecOptionsMethods):
    """A command for a guest, and how to run it."""

    #: Program and arguments, run as they are. The program is searched in the guest's PATH if it has no slash. Use
    #: shell() for a shell line. Empty: what the image runs by itself (ImageInfo.command).
    argv: Sequence[str] = field(default_factory=list)
    #: Added to what the guest (PATH, HOME, USER, LANG; TERM with `tty`) and an OCI image set; equal names are replaced.
    env: Mapping[str, str] = field(default_factory=dict)
    #: Working directory in the guest; empty: the OCI image's, else the user's home, or / if that does not exist.
    cwd: str = ""
    #: User name or numeric "uid[:gid]" in the guest; empty: the OCI image's, else root.
    user: str = ""
    #: What the command reads on stdin. At most one of the two is used; with neither, stdin is /dev/null (or the
    #: terminal's input, with `tty`).
    input: Union[bytes, str] = b""
    #: A descriptor that is read until end of file and passed on; borrowed, must stay open during the call.
    input_fd: Optional[FileDescriptor] = None
    #: Give the command a terminal of its own; stdout then carries everything and stderr stays empty.
    tty: bool = False
    #: The terminal's size at the start, with `tty`.
    window_size: WindowSize = field(default_factory=WindowSize)
    #: Once passed, the command's process group gets SIGKILL and ExecResult.timed_out is set. None: no limit. In
    #: seconds.
    timeout: Optional[Seconds] = None
    #: When triggered, the command gets SIGTERM, two seconds later SIGKILL, and ExecResult.cancelled is set.
    stop: Optional[StopSource] = None
    #: Where output goes as it appears. Without a callback it is collected in ExecResult.out / err.
    on_stdout: Optional[OutputCallback] = None
    #: The same for stderr.
    on_stderr: Optional[OutputCallback] = None
    #: Bytes collected per stream; what comes after is dropped and ExecResult.truncated is set.
    max_output_bytes: int = 64 << 20


class StreamKeywords(TypedDict, total=False):
    """ExecOptions as keywords, for output that is iterated over."""

    env: Mapping[str, str]
    cwd: str
    user: str
    input: Union[bytes, str]
    input_fd: Optional[FileDescriptor]
    tty: bool
    window_size: WindowSize
    timeout: Optional[Seconds]
    stop: Optional[StopSource]
    max_output_bytes: int


class ExecKeywords(StreamKeywords, total=False):
    """ExecOptions as keywords."""

    on_stdout: Optional[OutputCallback]
    on_stderr: Optional[OutputCallback]


@dataclass
class ExecResult(ExecResultMethods):
    """How a command ended."""

    #: The exit status as a shell gives it: 0–255; 128 + the signal if a signal ended it; 126 / 127 if it could not be
    #: executed / was not found.
    exit_code: int = 0
    #: The signal that ended the command, or 0.
    signal: int = 0
    #: ExecOptions.timeout passed.
    timed_out: bool = False
    #: ExecOptions.stop was triggered.
    cancelled: bool = False
    #: Collected output was cut at max_output_bytes.
    truncated: bool = False
    #: What came on stdout, unless a callback took it; any bytes.
    out: bytes = b""
    #: What came on stderr, unless a callback took it; any bytes.
    err: bytes = b""
    #: From the request being sent to the exit status being received, on the host's steady clock. In seconds.
    duration: float = 0.0

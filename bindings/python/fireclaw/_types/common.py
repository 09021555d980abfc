"""How values are written, and what several kinds of them use."""

from __future__ import annotations

import enum
import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Callable, Protocol, Union

__all__ = [
    "ErrorCode", "FileDescriptor", "LogLevel", "LogSink", "OutputCallback", "Progress", "ProgressCallback",
    "Seconds", "StrPath",
]


class HasFileno(Protocol):
    """An open file, socket or pipe."""

    def fileno(self) -> int: ...


StrPath = Union[str, "os.PathLike[str]"]
Seconds = Union[float, timedelta]
FileDescriptor = Union[int, HasFileno]
OutputCallback = Callable[[bytes], object]
ProgressCallback = Callable[["Progress"], object]
LogSink = Callable[["LogLevel", str], object]


class Text(str, enum.Enum):
    def __str__(self) -> str:
        return str(self.value)


class ErrorCode(Text):
    """What kind of failure an error is."""

    INVALID_ARGUMENT = "invalid_argument"
    NOT_FOUND = "not_found"
    ALREADY_EXISTS = "already_exists"
    INVALID_STATE = "invalid_state"
    PERMISSION_DENIED = "permission_denied"
    UNSUPPORTED = "unsupported"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    IO = "io"
    VMM = "vmm"
    GUEST = "guest"
    CORRUPT = "corrupt"
    INTERNAL = "internal"


class LogLevel(Text):
    """How important a message is."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass
class Progress:
    """How far a long step is; `total` is 0 where it is not known."""

    step: str
    done: int
    total: int
    finished: bool

"""How values are written."""

from __future__ import annotations

import enum
import os
from datetime import timedelta
from typing import TYPE_CHECKING, Callable, Protocol, Union

if TYPE_CHECKING:
    from .image import Progress
    from .log import LogLevel

__all__ = ["FileDescriptor", "LogSink", "OutputCallback", "ProgressCallback", "Seconds", "StrPath"]


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

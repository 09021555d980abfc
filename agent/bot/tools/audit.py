"""The record of every tool call, one JSON object a line, in audit.log on the workspace."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import time
from typing import Any, Callable, Mapping

from ..base.text import one_line

NAME = "audit.log"
_LONGEST_VALUE = 2000


def _shortened(value: Any) -> Any:
    if isinstance(value, str) and len(value) > _LONGEST_VALUE:
        return value[:_LONGEST_VALUE] + f"… ({len(value)} characters)"
    if isinstance(value, Mapping):
        return {str(key)[:100]: _shortened(item) for key, item in list(value.items())[:50]}
    if isinstance(value, list):
        return [_shortened(item) for item in value[:50]]
    return value


class Audit:
    """Appends; never rewrites what was written. At `max_bytes` the log becomes audit.log.1, and so on up to `keep`.
    A line that a kill has cut off is closed before the next is written. Used by one thread at a time."""

    def __init__(self, root: str, max_bytes: int = 1 << 20, keep: int = 3,
                 clock: Callable[[], float] = time.time) -> None:
        self._path = os.path.join(root, NAME)
        self._max_bytes = max_bytes
        self._keep = keep
        self._clock = clock

    def record(self, event: str, **values: Any) -> None:
        """OSError if it cannot be written: what cannot be recorded should not be done."""
        now = self._clock()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now * 1000) % 1000:03d}Z"
        entry = {"time": stamp, "event": event, **_shortened(values)}
        line = json.dumps(entry, ensure_ascii=False, default=lambda value: one_line(repr(value))) + "\n"
        data = line.encode("utf-8", "replace")
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(self._path, flags, 0o640)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise OSError(f"{self._path} is not a regular file")
            if status.st_size and status.st_size + len(data) > self._max_bytes:
                os.close(descriptor)
                descriptor = -1
                self._rotate()
                descriptor = os.open(self._path, flags, 0o640)
                status = os.fstat(descriptor)
            if status.st_size and os.pread(descriptor, 1, status.st_size - 1) != b"\n":
                data = b"\n" + data
            # One write, so that two writers cannot mix their lines.
            written = os.write(descriptor, data)
            if written != len(data):
                raise OSError(f"only a part of a line fitted into {self._path}")
        finally:
            if descriptor >= 0:
                os.close(descriptor)

    def _rotate(self) -> None:
        for number in range(self._keep, 0, -1):
            older = self._path if number == 1 else f"{self._path}.{number - 1}"
            with contextlib.suppress(FileNotFoundError):
                os.replace(older, f"{self._path}.{number}")

"""One way to stop a piece of work from another thread, whatever it is waiting for at the moment."""

from __future__ import annotations

import os
import threading
from typing import Callable, Dict, Optional


class Cancelled(Exception):
    """Raised in the thread whose work was cancelled."""


class Cancel:
    """A flag that is set once. Waiters see it as an event, as a readable file descriptor, or are called back.

    Any thread may set it. Callbacks run in the setting thread and must not block.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._callbacks: Dict[int, Callable[[], None]] = {}
        self._next = 0
        self._read, self._write = os.pipe()
        self._closed = False

    def __enter__(self) -> Cancel:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            if not self._closed:
                self._closed = True
                os.close(self._read)
                os.close(self._write)

    def set(self) -> None:
        with self._lock:
            if self._event.is_set():
                return
            self._event.set()
            if not self._closed:
                os.write(self._write, b"x")
            callbacks = list(self._callbacks.values())
        for callback in callbacks:
            callback()

    def is_set(self) -> bool:
        return self._event.is_set()

    def check(self) -> None:
        if self._event.is_set():
            raise Cancelled()

    def wait(self, seconds: float) -> None:
        """Lets time pass; raises Cancelled as soon as the flag is set."""
        if self._event.wait(seconds):
            raise Cancelled()

    def fileno(self) -> int:
        """Readable once the flag is set."""
        return self._read

    def on_set(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Calls `callback` when the flag is set (at once if it is). Returns what unregisters it."""
        key: Optional[int] = None
        with self._lock:
            if not self._event.is_set():
                key = self._next
                self._next += 1
                self._callbacks[key] = callback
        if key is None:
            callback()

        def forget() -> None:
            if key is not None:
                with self._lock:
                    self._callbacks.pop(key, None)

        return forget

"""A command's output as an iterator."""

from __future__ import annotations

import os
import queue
import sys
import threading
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Callable, Iterator, Optional, Union

from ._errors import _make
from ._fireclaw import StopSource
from ._types import ErrorCode, ExecOptions, ExecResult, WindowSize

if TYPE_CHECKING:
    from ._fireclaw import Process

#: Pieces of output that wait to be taken; after that the command waits.
_QUEUE_LENGTH = 64

_Item = Union[tuple[str, bytes], ExecResult, BaseException]


def _wait(process: Process, items: queue.SimpleQueue[_Item]) -> None:
    end: Union[ExecResult, BaseException]
    try:
        end = process.wait()
    except BaseException as error:  # It is the iterating thread's to deal with.
        end = error
    items.put(end)


class Stream:
    """Iterates over (stream, bytes) of a command that runs, where stream is "stdout" or "stderr".

    `result` is there when the iteration is over. Leaving the `with` block, or close(), ends a command that still runs; so
    does the last reference to a stream that was not iterated to its end.
    What went wrong is raised by the iteration. In a child that was forked from the process that made the stream,
    iteration raises InvalidStateError, and close() does nothing.
    """

    def __init__(self, spawn: Callable[[ExecOptions], Process], options: ExecOptions) -> None:
        self._maker = os.getpid()
        self._stop = StopSource(options.stop)
        self._closed = False
        self._result: Optional[ExecResult] = None
        # SimpleQueue, since __del__ may find any other queue's lock held by its own thread.
        self._items: queue.SimpleQueue[_Item] = queue.SimpleQueue()
        self._room: queue.SimpleQueue[bool] = queue.SimpleQueue()  # False: nobody takes what comes
        for _ in range(_QUEUE_LENGTH):
            self._room.put(True)
        # Callbacks and thread know the queues alone: a cycle through C++ would never be collected, and a thread would
        # keep a stream that nobody has any more.
        items, room = self._items, self._room

        def put(name: str) -> Callable[[bytes], None]:
            def handle(data: bytes) -> None:
                if room.get():
                    items.put((name, data))
                else:
                    room.put(False)
            return handle

        self._process = spawn(replace(options, stop=self._stop, on_stdout=put("stdout"), on_stderr=put("stderr")))
        self._thread = threading.Thread(target=_wait, args=(self._process, items), name="fireclaw-stream", daemon=True)
        self._thread.start()

    def _is_inert(self) -> bool:
        """Whether this is a forked child: the thread that waits for the command is in its parent alone."""
        return self._maker != os.getpid()

    def _take(self) -> _Item:
        item = self._items.get()
        self._room.put(True)
        return item

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        return self

    def __next__(self) -> tuple[str, bytes]:
        if self._closed or self._result is not None:
            raise StopIteration
        if self._is_inert():
            why = f"the stream belongs to process {self._maker}, from which this one was forked; start the command here"
            raise _make(ErrorCode.INVALID_STATE.value, why, why, (), None)
        try:
            item = self._take()
        except BaseException:
            self.close()  # Ctrl-C
            raise
        if isinstance(item, tuple):
            return item
        self._thread.join()
        if isinstance(item, ExecResult):
            self._result = item
            raise StopIteration
        self._closed = True
        raise item

    @property
    def result(self) -> ExecResult:
        """How the command ended; AttributeError before that."""
        if self._result is None:
            raise AttributeError("the command has not been seen to end: iterate to the end first")
        return self._result

    def wait(self) -> ExecResult:
        """Passes over the rest of the output and returns how the command ended."""
        for _ in self:
            pass
        return self.result

    def send_signal(self, number: int) -> None:
        """Sends the command's process group a signal."""
        self._process.send_signal(number)

    def resize(self, size: WindowSize) -> None:
        """Changes the size of the command's terminal."""
        self._process.resize(size)

    def close(self) -> None:
        """Ends the command if it still runs."""
        if self._closed or self._result is not None:
            return
        self._closed = True
        if self._is_inert():
            return
        self._stop.request_stop()
        # The command's last output has to go somewhere, or it would not end.
        while isinstance(item := self._take(), tuple):
            pass
        self._thread.join()
        if isinstance(item, ExecResult):
            self._result = item

    def __del__(self) -> None:
        """Ends the command of a stream that was left by `break` and forgotten, without waiting for its end."""
        if getattr(self, "_thread", None) is None or self._closed or self._result is not None or sys.is_finalizing():
            return
        if self._is_inert():
            return
        self._stop.request_stop()
        self._room.put(False)

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        self.close()

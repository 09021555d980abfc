"""A command's output as an iterator."""

from __future__ import annotations

import queue
import threading
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Callable, Iterator, Optional, Union

from ._fireclaw import StopSource
from ._types import ExecOptions, ExecResult, WindowSize

if TYPE_CHECKING:
    from ._fireclaw import Process

#: Pieces of output that wait to be taken; after that the command waits.
_QUEUE_LENGTH = 64


class Stream:
    """Iterates over (stream, bytes) of a command that runs, where stream is "stdout" or "stderr".

    `result` is there when the iteration is over. Leaving the `with` block, or close(), ends a command that still runs.
    What went wrong is raised by the iteration.
    """

    def __init__(self, spawn: Callable[[ExecOptions], Process], options: ExecOptions) -> None:
        self._stop = StopSource(options.stop)
        self._closed = False
        self._result: Optional[ExecResult] = None
        self._items: queue.Queue[Union[tuple[str, bytes], ExecResult, BaseException]] = queue.Queue(_QUEUE_LENGTH)
        # The callbacks know the queue alone: a cycle through C++ would never be collected.
        items = self._items
        self._process = spawn(replace(options, stop=self._stop,
                                      on_stdout=lambda data: items.put(("stdout", data)),
                                      on_stderr=lambda data: items.put(("stderr", data))))
        self._thread = threading.Thread(target=self._wait, name="fireclaw-stream", daemon=True)
        self._thread.start()

    def _wait(self) -> None:
        end: Union[ExecResult, BaseException]
        try:
            end = self._process.wait()
        except BaseException as error:  # It is the iterating thread's to deal with.
            end = error
        self._items.put(end)

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        return self

    def __next__(self) -> tuple[str, bytes]:
        if self._closed or self._result is not None:
            raise StopIteration
        try:
            item = self._items.get()
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
        self._stop.request_stop()
        # The command's last output has to go somewhere, or it would not end.
        while isinstance(item := self._items.get(), tuple):
            pass
        self._thread.join()
        if isinstance(item, ExecResult):
            self._result = item

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        self.close()

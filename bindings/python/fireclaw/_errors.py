"""What fireclaw raises: one class for each ErrorCode, each also the built-in exception that it is a case of."""

from __future__ import annotations

import builtins
from typing import Optional

from ._types import ErrorCode


class FireclawError(Exception):
    """Every failure that fireclaw reports. str() is one line: the contexts, outermost first, then the message."""

    #: What kind of failure it is.
    code: ErrorCode = ErrorCode.INTERNAL
    #: The message without the contexts.
    message: str = ""
    #: What was being done when it failed: innermost first.
    context: tuple[str, ...] = ()

    def __str__(self) -> str:
        # Those that are OSErrors too would otherwise speak of an errno that there is none of.
        return str(self.args[0]) if self.args else self.message


class InvalidArgumentError(FireclawError, ValueError):
    """The caller passed something that can never work."""

    code = ErrorCode.INVALID_ARGUMENT


class NotFoundError(FireclawError, LookupError):
    """The named image, snapshot, machine, file, ... does not exist."""

    code = ErrorCode.NOT_FOUND


class AlreadyExistsError(FireclawError, FileExistsError):
    """The name is taken."""

    code = ErrorCode.ALREADY_EXISTS


class InvalidStateError(FireclawError):
    """The object exists but is not in a state that allows the call."""

    code = ErrorCode.INVALID_STATE


class PermissionDeniedError(FireclawError, PermissionError):
    """The kernel or a file's mode refused."""

    code = ErrorCode.PERMISSION_DENIED


class UnsupportedError(FireclawError, NotImplementedError):
    """This engine, kernel or machine cannot do it."""

    code = ErrorCode.UNSUPPORTED


class TimeoutError(FireclawError, builtins.TimeoutError):
    """A deadline passed. (A command's own timeout is not an error: see ExecResult.timed_out.)"""

    code = ErrorCode.TIMEOUT


class CancelledError(FireclawError):
    """A StopSource was triggered. (For a command that is not an error: see ExecResult.cancelled.)"""

    code = ErrorCode.CANCELLED


class IoError(FireclawError, OSError):
    """A system call on a file or socket failed."""

    code = ErrorCode.IO


class VmmError(FireclawError):
    """The engine's process failed or refused."""

    code = ErrorCode.VMM


class GuestError(FireclawError):
    """The guest failed, vanished or broke the protocol."""

    code = ErrorCode.GUEST


class CorruptError(FireclawError):
    """A file of fireclaw's is torn, foreign, or from another version."""

    code = ErrorCode.CORRUPT


class InternalError(FireclawError):
    """A bug in fireclaw."""

    code = ErrorCode.INTERNAL


_BY_CODE: dict[ErrorCode, type[FireclawError]] = {
    kind.code: kind
    for kind in (InvalidArgumentError, NotFoundError, AlreadyExistsError, InvalidStateError, PermissionDeniedError,
                 UnsupportedError, TimeoutError, CancelledError, IoError, VmmError, GuestError, CorruptError,
                 InternalError)
}


def _make(code: str, line: str, message: str, context: tuple[str, ...],
          cause: Optional[BaseException]) -> FireclawError:
    """Called by the module for each C++ error."""
    error = _BY_CODE[ErrorCode(code)](line)
    error.message = message
    error.context = context
    error.__cause__ = cause
    return error

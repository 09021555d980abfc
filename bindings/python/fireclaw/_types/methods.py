"""What dataclasses that C++ describes can do in Python: the class NAME has what NAMEMethods has."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from .exec import ExecOptions, ExecResult


class ExecOptionsMethods:
    @staticmethod
    def shell(line: str) -> ExecOptions:
        """Options that run `line` with the guest's /bin/sh -c."""
        from .exec import ExecOptions

        return ExecOptions(argv=["/bin/sh", "-c", line])


class CommandError(Exception):
    """What ExecResult.check() raises: a command that failed. `result` says all of it."""

    def __init__(self, result: ExecResult) -> None:
        if result.timed_out:
            how = "was ended by its timeout"
        elif result.cancelled:
            how = "was cancelled"
        elif result.signal:
            how = f"was ended by signal {result.signal}"
        else:
            how = f"ended with status {result.exit_code}"
        said = result.stderr.strip().splitlines()
        super().__init__(f"the command {how}: {said[-1]}" if said else f"the command {how}")
        self.result = result

    def __reduce__(self) -> tuple[type[CommandError], tuple[ExecResult]]:
        # Made again from the result, not from the text: a process pool hands its workers' exceptions over.
        return CommandError, (self.result,)


class ExecResultMethods:
    if TYPE_CHECKING:
        exit_code: int
        signal: int
        timed_out: bool
        cancelled: bool
        out: bytes
        err: bytes

    @property
    def text(self) -> str:
        """`out` as text; what is not UTF-8 is replaced."""
        return self.out.decode(errors="replace")

    @property
    def err_text(self) -> str:
        """`err` as text; what is not UTF-8 is replaced."""
        return self.err.decode(errors="replace")

    @property
    def stdout(self) -> str:
        """The same as `text`."""
        return self.text

    @property
    def stderr(self) -> str:
        """The same as `err_text`."""
        return self.err_text

    def check(self) -> ExecResult:
        """Itself if `ok`, else CommandError."""
        result = cast("ExecResult", self)
        if not self.ok:
            raise CommandError(result)
        return result

    @property
    def ok(self) -> bool:
        """It ended by itself, with status 0."""
        return self.exit_code == 0 and not self.timed_out and not self.cancelled

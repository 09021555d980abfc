"""What dataclasses that C++ describes can do in Python: the class NAME has what NAMEMethods has."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .exec import ExecOptions


class ExecOptionsMethods:
    @staticmethod
    def shell(line: str) -> ExecOptions:
        """Options that run `line` with the guest's /bin/sh -c."""
        from .exec import ExecOptions

        return ExecOptions(argv=["/bin/sh", "-c", line])


class ExecResultMethods:
    if TYPE_CHECKING:
        exit_code: int
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
    def ok(self) -> bool:
        """It ended by itself, with status 0."""
        return self.exit_code == 0 and not self.timed_out and not self.cancelled

"""What makes the values that calls are given."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any, Sequence, Union

from .exec import ExecOptions
from .host import HostOptions

__all__ = ["Command"]

_Word = Union[str, bytes, "os.PathLike[str]"]
#: A shell line, a program with its arguments (as subprocess takes them), or all of it.
Command = Union[str, bytes, Sequence[_Word], ExecOptions]


def exec_options(command: Command, **keywords: Any) -> ExecOptions:
    """`command` as ExecOptions, with fields replaced by keywords."""
    if isinstance(command, ExecOptions):
        return replace(command, **keywords)
    words: Sequence[_Word] = ["/bin/sh", "-c", command] if isinstance(command, (str, bytes)) else command
    return ExecOptions(argv=[os.fsdecode(word) for word in words], **keywords)


def default_host_options() -> HostOptions:
    """What the command line would use: $FIRECLAW_HOME, else ~/.fireclaw."""
    home = os.environ.get("FIRECLAW_HOME") or os.path.join(os.path.expanduser("~"), ".fireclaw")
    return HostOptions(home=os.path.abspath(home), cache=os.environ.get("FIRECLAW_CACHE") or None)

"""Files that are whole at every moment: written aside, flushed, renamed into place."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from typing import Iterator, Optional, Tuple

_ASIDE = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{12}\.tmp")


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def atomic_write_at(folder: int, name: str, data: bytes, mode: int = 0o644, durable: bool = True) -> None:
    """Replaces `name` in the open folder by a file with `data`. After a crash it is the old file or the new one."""
    aside = f".{name}.{os.urandom(6).hex()}.tmp"
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=folder)
    try:
        try:
            _write_all(descriptor, data)
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(aside, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(aside, dir_fd=folder)
        raise
    if durable:
        os.fsync(folder)


@contextlib.contextmanager
def open_folder(path: str, at: Optional[int] = None) -> Iterator[int]:
    """A folder's descriptor for the functions that take one; a symbolic link at the end is not followed under `at`."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | (os.O_NOFOLLOW if at is not None else 0)
    descriptor = os.open(path, flags, dir_fd=at)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def atomic_write(path: str, data: bytes, mode: int = 0o644, durable: bool = True) -> None:
    with open_folder(os.path.dirname(path) or ".") as folder:
        atomic_write_at(folder, os.path.basename(path), data, mode, durable)


def read_at(folder: int, name: str, limit: int) -> Tuple[bytes, int]:
    """The first `limit` bytes of a regular file in the open folder, and its size. A link is not followed, a pipe is
    not waited for; both are OSErrors, as is a folder."""
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", name)
        data = b""
        while len(data) < limit:
            piece = os.read(descriptor, limit - len(data))
            if not piece:
                break
            data += piece
        return data, status.st_size
    finally:
        os.close(descriptor)


def remove_leftovers(folder: int) -> None:
    """Removes what an atomic_write that was killed before its rename has left in the folder."""
    for name in os.listdir(folder):
        if _ASIDE.fullmatch(name):
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=folder)

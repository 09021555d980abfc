"""Files inside the workspace, and nowhere else, whatever the path says and whatever links lie on the way.

A path is walked one component at a time from an open folder, never following a symbolic link, so that no race with a
command that swaps a folder for a link can lead outside.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import Iterator, List, Tuple

from ..base.files import atomic_write_at, open_folder, read_at

# Kept by the agent itself; what the model may not write through write_file.
PRIVATE = ".fireclaw"
_LONGEST_PATH = 1024


class WorkspaceError(Exception):
    """Why a file cannot be read or written, in words for the model."""


class Workspace:
    """Owns nothing but the path; every call opens what it needs."""

    def __init__(self, root: str) -> None:
        self.root = os.path.abspath(root)

    def _components(self, path: str) -> List[str]:
        if len(path) > _LONGEST_PATH or "\0" in path:
            raise WorkspaceError("the path is too long or holds a zero byte")
        if os.path.isabs(path):
            inside = os.path.relpath(os.path.normpath(path), self.root)
            if inside == ".." or inside.startswith("../"):
                raise WorkspaceError(f"'{path}' is outside the workspace {self.root}")
            path = inside
        parts = [part for part in path.split("/") if part not in ("", ".")]
        if ".." in parts:
            raise WorkspaceError(f"'{path}' must not contain '..'")
        if not parts:
            raise WorkspaceError(f"'{path}' names the workspace itself, not a file in it")
        return parts

    @contextlib.contextmanager
    def _folder_of(self, path: str, create: bool) -> Iterator[Tuple[int, str]]:
        """The open folder that holds the path's last component, and that component."""
        *folders, name = self._components(path)
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(open_folder(self.root))
            for part in folders:
                if create:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(part, 0o755, dir_fd=folder)
                folder = stack.enter_context(open_folder(part, at=folder))
            yield folder, name

    @staticmethod
    @contextlib.contextmanager
    def _explained(path: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            if error.errno in (errno.ENOTDIR, errno.ELOOP):
                why = "a part of the path is a symbolic link or no folder"
            raise WorkspaceError(f"'{path}': {why}") from error

    def read(self, path: str, limit: int) -> Tuple[bytes, int]:
        """The first `limit` bytes of a regular file and its size."""
        with self._explained(path), self._folder_of(path, create=False) as (folder, name):
            return read_at(folder, name, limit)

    def write(self, path: str, data: bytes) -> None:
        """Replaces or makes a file, whole or not at all; folders on the way are made."""
        if self._components(path)[0] == PRIVATE or self._components(path)[0].startswith("audit.log"):
            raise WorkspaceError(f"'{path}' is kept by the agent itself")
        with self._explained(path), self._folder_of(path, create=True) as (folder, name):
            mode = 0o644
            with contextlib.suppress(FileNotFoundError):
                status = os.stat(name, dir_fd=folder, follow_symlinks=False)
                if not stat.S_ISREG(status.st_mode):
                    raise OSError(errno.EINVAL, "not a regular file", path)
                mode = stat.S_IMODE(status.st_mode) & 0o777
            atomic_write_at(folder, name, data, mode)

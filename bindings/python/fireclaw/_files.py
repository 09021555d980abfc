"""Single files in a machine's guest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional, Sequence, Union

from ._types.common import Seconds, StrPath
from ._types.file import FileInfo, FileOptions

if TYPE_CHECKING:
    from ._fireclaw import StopSource, VM

__all__ = ["Files"]


class Files:
    """Single files of a guest: VM.files. Paths are absolute paths in the guest.

    Arguments of several calls: `user` (name or "uid[:gid]"; "": the image's, else root) is the user whose rights are
    used; `timeout` (seconds; None: no limit) ends the call with TimeoutError. FileOptions describes each in full.
    """

    def __init__(self, vm: VM) -> None:
        self._vm = vm

    def read(
        self, path: StrPath, *, offset: int = 0, limit: Optional[int] = None, user: str = "",
        timeout: Optional[Seconds] = None, stop: Optional[StopSource] = None,
    ) -> bytes:
        """Reads a file: skips `offset` bytes and returns at most `limit`. Without `limit` at most 64 MiB."""
        return self._vm.read_file(
            path, FileOptions(offset=offset, limit=limit, user=user, timeout=timeout, stop=stop))

    def read_text(self, path: StrPath, *, user: str = "", timeout: Optional[Seconds] = None) -> str:
        """Reads a file as text; bytes that are not UTF-8 are replaced."""
        return self.read(path, user=user, timeout=timeout).decode(errors="replace")

    def write(
        self, path: StrPath, content: Union[bytes, str], *, mode: Optional[int] = None, append: bool = False,
        parents: bool = False, user: str = "", timeout: Optional[Seconds] = None,
        stop: Optional[StopSource] = None,
    ) -> FileInfo:
        """Writes a file; `append` adds to its end. If the write fails, the file stays as it was.

        `parents` makes missing folders. Without `mode` an existing file keeps its own.
        """
        return self._vm.write_file(path, content, FileOptions(
            mode=mode, append=append, parents=parents, user=user, timeout=timeout, stop=stop))

    def list(
        self, path: StrPath, *, limit: Optional[int] = None, user: str = "", timeout: Optional[Seconds] = None,
        stop: Optional[StopSource] = None,
    ) -> Sequence[FileInfo]:
        """Lists a folder, sorted by name; with `limit` the first entries. Without it at most 65536."""
        return self._vm.list_directory(path, FileOptions(limit=limit, user=user, timeout=timeout, stop=stop))

    def stat(
        self, path: StrPath, *, follow: bool = False, user: str = "", timeout: Optional[Seconds] = None,
    ) -> FileInfo:
        """Describes what is at a path; with `follow` the target of a link. NotFoundError."""
        return self._vm.stat(path, FileOptions(follow=follow, user=user, timeout=timeout))

    def exists(self, path: StrPath, *, user: str = "", timeout: Optional[Seconds] = None) -> bool:
        """Whether there is something at a path, also a broken link."""
        from ._errors import NotFoundError

        try:
            self.stat(path, user=user, timeout=timeout)
        except NotFoundError:
            return False
        return True

    def remove(
        self, path: StrPath, *, recursive: bool = False, user: str = "", timeout: Optional[Seconds] = None,
        stop: Optional[StopSource] = None,
    ) -> None:
        """Removes a file, a link or an empty folder; with `recursive` a folder with its content."""
        self._vm.remove(path, FileOptions(recursive=recursive, user=user, timeout=timeout, stop=stop))

    def make_directory(
        self, path: StrPath, *, mode: Optional[int] = None, parents: bool = False, user: str = "",
        timeout: Optional[Seconds] = None,
    ) -> None:
        """Makes a folder; with `parents` those above it too, and an existing folder is not an error."""
        self._vm.make_directory(path, FileOptions(mode=mode, parents=parents, user=user, timeout=timeout))

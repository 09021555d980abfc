"""Single files in a machine's guest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional, Sequence, Union

from ._types.common import Seconds, StrPath
from ._types.file import FileInfo, FileOptions

if TYPE_CHECKING:
    from ._fireclaw import StopSource, VM

__all__ = ["Files"]


class Files:
    """What VM.files is. Paths are absolute and the guest's.

    Arguments that several calls take: `user` (name or "uid[:gid]"; "": the image's, else root) is whose rights are
    used, and `timeout` (seconds; None: no limit) ends the call with TimeoutError. FileOptions says all about each.
    """

    def __init__(self, vm: VM) -> None:
        self._vm = vm

    def read(
        self, path: StrPath, *, offset: int = 0, limit: Optional[int] = None, user: str = "",
        timeout: Optional[Seconds] = None, stop: Optional[StopSource] = None,
    ) -> bytes:
        """A file's content, or `limit` bytes of it behind the first `offset`. Without `limit` at most 64 MiB."""
        return self._vm.read_file(
            path, FileOptions(offset=offset, limit=limit, user=user, timeout=timeout, stop=stop))

    def read_text(self, path: StrPath, *, user: str = "", timeout: Optional[Seconds] = None) -> str:
        """A file's content as text; what is not UTF-8 is replaced."""
        return self.read(path, user=user, timeout=timeout).decode(errors="replace")

    def write(
        self, path: StrPath, content: Union[bytes, str], *, mode: Optional[int] = None, append: bool = False,
        parents: bool = False, user: str = "", timeout: Optional[Seconds] = None,
        stop: Optional[StopSource] = None,
    ) -> FileInfo:
        """Writes a file, or puts the content behind what is there. A write that fails leaves what was there.

        `parents` makes the folders that are missing. Without `mode` a file keeps the one that it has.
        """
        return self._vm.write_file(path, content, FileOptions(
            mode=mode, append=append, parents=parents, user=user, timeout=timeout, stop=stop))

    def list(
        self, path: StrPath, *, limit: Optional[int] = None, user: str = "", timeout: Optional[Seconds] = None,
        stop: Optional[StopSource] = None,
    ) -> Sequence[FileInfo]:
        """What is in a folder, by name; with `limit` the first ones. Without it at most 65536."""
        return self._vm.list_directory(path, FileOptions(limit=limit, user=user, timeout=timeout, stop=stop))

    def stat(
        self, path: StrPath, *, follow: bool = False, user: str = "", timeout: Optional[Seconds] = None,
    ) -> FileInfo:
        """What is at a path; with `follow` what a link leads to. NotFoundError."""
        return self._vm.stat(path, FileOptions(follow=follow, user=user, timeout=timeout))

    def exists(self, path: StrPath, *, user: str = "", timeout: Optional[Seconds] = None) -> bool:
        """Whether there is something at a path, a link that leads nowhere included."""
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
        """Removes a file, a link or an empty folder; with `recursive` a folder with all in it."""
        self._vm.remove(path, FileOptions(recursive=recursive, user=user, timeout=timeout, stop=stop))

    def make_directory(
        self, path: StrPath, *, mode: Optional[int] = None, parents: bool = False, user: str = "",
        timeout: Optional[Seconds] = None,
    ) -> None:
        """Makes a folder; with `parents` those above it too, and one that is there is no error."""
        self._vm.make_directory(path, FileOptions(mode=mode, parents=parents, user=user, timeout=timeout))

"""What is saved survives a loss of power: every file is written aside, flushed, renamed, and its folder flushed, in this
order; and what points to something is there before it. The calls are counted and put in order; a reader looks meanwhile."""

import os
import unittest
from typing import Any, Callable, List, Tuple
from unittest import mock

from harness import FolderTest
from bot.base import files
from bot.status import ChannelStore, StatusFile
from bot.tools.memory import Memory
from bot.tools.workspace import Workspace

Call = Tuple[str, str]


def where(descriptor: int) -> str:
    return os.readlink(f"/proc/self/fd/{descriptor}")


def _zeros(size: int) -> bytes:
    return b"\0" * size


class Calls:
    """Every call that changes a file, in its order, with paths below the folder. Names written aside are shown as
    "aside NAME". Anything that writes to a file under its real name is an error."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self.seen: List[Call] = []
        self._real = {name: getattr(os, name) for name in ("open", "write", "fsync", "replace", "fdatasync")}

    def short(self, path: str) -> str:
        path = os.path.relpath(path, self._folder)
        folder, _, name = path.rpartition("/")
        aside = files._ASIDE.fullmatch(name)
        return (f"{folder}/" if folder else "") + name if aside is None else "aside " + (f"{folder}/" if folder else "") + aside.group("name")

    def __enter__(self) -> "Calls":
        self._patches = [mock.patch.object(os, name, getattr(self, name)) for name in self._real]
        for patch in self._patches:
            patch.start()
        return self

    def __exit__(self, *_: object) -> None:
        for patch in self._patches:
            patch.stop()

    def open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: Any = None) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_TRUNC) and not files._ASIDE.fullmatch(os.path.basename(path)):
            raise AssertionError(f"'{path}' is written in place")
        descriptor: int = self._real["open"](path, flags, mode, dir_fd=dir_fd)
        return descriptor

    def write(self, descriptor: int, data: Any) -> int:
        name = self.short(where(descriptor))
        if ("write", name) not in self.seen[-1:]:
            self.seen.append(("write", name))
        # In small pieces, as a full disk or a signal would make it.
        written: int = self._real["write"](descriptor, bytes(data)[:7])
        return written

    def fsync(self, descriptor: int) -> None:
        self.seen.append(("fsync", self.short(where(descriptor))))
        self._real["fsync"](descriptor)

    fdatasync = fsync

    def replace(self, old: str, new: str, *, src_dir_fd: Any = None, dst_dir_fd: Any = None) -> None:
        assert src_dir_fd == dst_dir_fd
        folder = where(dst_dir_fd)
        self.seen.append(("rename", self.short(os.path.join(folder, new))))
        self._real["replace"](old, new, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)


def saved(name: str) -> List[Call]:
    """What saving one file durably comes to."""
    return [("write", f"aside {name}"), ("fsync", f"aside {name}"), ("rename", name), ("fsync", os.path.dirname(name) or ".")]


class Durability(FolderTest):
    def setUp(self) -> None:
        super().setUp()
        self.memory = Memory(self.folder, today=lambda: "2026-01-05")
        self.memory.prepare()

    def test_a_note_is_flushed_before_it_is_renamed_and_the_folder_after(self) -> None:
        with Calls(self.folder) as calls:
            self.memory.save("likes tea")
        self.assertEqual(calls.seen, saved("MEMORY.md"))
        self.assertIn("likes tea", self.read("MEMORY.md"))

    def test_the_index_names_a_topic_before_its_file_is_there(self) -> None:
        with Calls(self.folder) as calls:
            self.memory.save("details", topic="tea")
        self.assertEqual(calls.seen, saved("MEMORY.md") + saved("memory/tea.md"))
        with Calls(self.folder) as calls:
            self.memory.save("more", topic="tea")
        self.assertEqual(calls.seen, saved("memory/tea.md"))

    def test_a_kill_between_index_and_topic_leaves_the_smaller_loss(self) -> None:
        real = os.replace

        def die(old: str, new: str, **more: Any) -> None:
            if new == "tea.md":
                raise KeyboardInterrupt
            real(old, new, **more)

        with mock.patch.object(os, "replace", die), self.assertRaises(KeyboardInterrupt):
            self.memory.save("details", topic="tea")
        self.assertIn("(memory/tea.md)", self.read("MEMORY.md"))
        self.assertFalse(os.path.exists(self.path("memory", "tea.md")))
        self.memory.save("details", topic="tea")
        self.assertEqual(self.read("MEMORY.md").count("(memory/tea.md)"), 1)

    def test_a_new_memory_the_channels_and_files_of_the_workspace_are_saved_alike(self) -> None:
        os.mkdir(self.path("new"))
        with Calls(self.path("new")) as calls:
            Memory(self.path("new")).prepare()
        self.assertEqual(calls.seen, saved("MEMORY.md"))
        with Calls(self.folder) as calls:
            ChannelStore(self.folder).save(["#lab"])
        self.assertEqual(calls.seen, saved(".fireclaw/channels.json"))
        with Calls(self.folder) as calls:
            Workspace(self.folder).write("a/b", b"content of the file")
        self.assertEqual(calls.seen, saved("a/b"))
        self.assertEqual(self.read("a/b"), "content of the file")

    def test_what_lies_beside_a_file_is_never_written_into(self) -> None:
        with mock.patch.object(os, "urandom", _zeros):
            aside = ".MEMORY.md.000000000000.tmp"
            ways: List[Callable[[], Any]] = [lambda: self.write(aside, "another's"), lambda: os.symlink("victim", self.path(aside))]
            for make in ways:
                make()
                with self.assertRaisesRegex(Exception, "file exists"):
                    self.memory.save("likes tea")
                os.unlink(self.path(aside))
        self.assertFalse(os.path.exists(self.path("victim")))

    def test_the_status_is_whole_at_every_moment_but_not_worth_a_flush(self) -> None:
        with Calls(self.folder) as calls:
            StatusFile(self.path("status.json"), lambda: {"state": "online"}).write()
        self.assertEqual(calls.seen, [("write", "aside status.json"), ("rename", "status.json")])

    def test_a_status_that_cannot_be_written_is_said_once_and_is_written_when_it_can_be(self) -> None:
        states = iter(("a", "b", "c", "d"))
        status = StatusFile(self.path("later/status.json"), lambda: {"state": next(states)})
        with self.assertLogs("status", "WARNING") as logs:
            status.write()
            status.write()
        self.assertEqual(len(logs.output), 1)
        os.mkdir(self.path("later"))
        status.write()
        self.assertIn('"state": "c"', self.read("later/status.json"))

    def test_a_file_that_is_read_in_short_pieces_is_read_whole(self) -> None:
        self.write("text", "0123456789" * 10)
        real = os.read
        with files.open_folder(self.folder) as folder, mock.patch.object(os, "read", lambda descriptor, size: real(descriptor, min(size, 7))):
            self.assertEqual(files.read_at(folder, "text", 1000), (b"0123456789" * 10, 100))
            self.assertEqual(files.read_at(folder, "text", 15), (b"012345678901234", 100))
            self.assertEqual(files.read_at(folder, "text", 14), (b"01234567890123", 100))

    def test_a_link_to_a_folder_is_followed_at_the_top_only(self) -> None:
        os.symlink(self.folder, self.path("link"))
        with files.open_folder(self.path("link")) as folder, self.assertRaises(OSError), files.open_folder("link", at=folder):
            pass

    def test_what_cannot_be_flushed_was_not_saved(self) -> None:
        before = self.read("MEMORY.md")
        with mock.patch.object(os, "fsync", side_effect=OSError(28, "No space left on device")), self.assertRaisesRegex(Exception, "no space left"):
            self.memory.save("likes tea")
        self.assertEqual(self.read("MEMORY.md"), before)
        self.assertEqual(sorted(os.listdir(self.folder)), ["MEMORY.md", "memory"])

    def test_what_a_kill_left_beside_the_channels_is_removed_when_they_are_read(self) -> None:
        ChannelStore(self.folder).save(["#lab"])
        self.write(".fireclaw/.channels.json.0123456789ab.tmp", '{"sch')
        self.write(".fireclaw/.channels.json.tmp", "not ours")
        self.assertEqual(ChannelStore(self.folder).load(), ["#lab"])
        self.assertEqual(sorted(os.listdir(self.path(".fireclaw"))), [".channels.json.tmp", "channels.json"])

    def test_channels_of_names_that_no_server_gives_are_set_aside(self) -> None:
        longest = "#" + "x" * 63
        ChannelStore(self.folder).save([longest])
        self.assertEqual(ChannelStore(self.folder).load(), [longest])
        for name in (longest + "x", "#a b", "alice", "#a,#b", "#"):
            ChannelStore(self.folder).save(["#lab", name])
            with self.assertLogs("status", "ERROR"):
                self.assertEqual(ChannelStore(self.folder).load(), [], name)
            self.assertEqual(os.listdir(self.path(".fireclaw")), ["channels.json.bad"])


if __name__ == "__main__":
    unittest.main()

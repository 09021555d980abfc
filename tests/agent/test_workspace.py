"""Files inside the workspace: no path, link or race leads outside."""

import os
import threading
import time
import unittest

from harness import FolderTest
from bot.tools.workspace import Workspace, WorkspaceError


class Confined(FolderTest):
    def setUp(self) -> None:
        super().setUp()
        os.mkdir(self.path("ws"))
        self.write("outside/secret", "secret")
        self.workspace = Workspace(self.path("ws"))

    def test_files_are_written_and_read_with_their_folders_made(self) -> None:
        self.workspace.write("a/b/c.txt", b"hello")
        self.assertEqual(self.workspace.read("a/b/c.txt", 100), (b"hello", 5))
        self.assertEqual(self.workspace.read("./a//b/./c.txt", 2), (b"he", 5))
        self.assertEqual(self.workspace.read(self.path("ws/a/b/c.txt"), 100)[0], b"hello")

    def test_a_path_from_the_root_is_said_to_be_outside(self) -> None:
        for path in ("/etc/passwd", self.path("outside/secret"), self.path("ws/../outside"), self.path("wsx"), self.path()):
            with self.assertRaisesRegex(WorkspaceError, "is outside the workspace"):
                self.workspace.read(path, 100)

    def test_paths_that_lead_outside_are_refused(self) -> None:
        for path in ("../outside/secret", "a/../../outside/secret", "/etc/passwd", self.path("outside/secret"),
                     self.path("ws/../outside/secret"), self.path("wsx"), "..", ".", "", "/", "a\0b", "x/" * 600 + "y"):
            with self.assertRaises(WorkspaceError, msg=path):
                self.workspace.read(path, 100)
            with self.assertRaises(WorkspaceError, msg=path):
                self.workspace.write(path, b"x")
        self.assertEqual(self.read("outside/secret"), "secret")

    def test_links_are_not_followed_wherever_they_stand(self) -> None:
        os.symlink(self.path("outside"), self.path("ws/folder"))
        os.symlink(self.path("outside/secret"), self.path("ws/file"))
        os.symlink("file", self.path("ws/indirect"))
        for path in ("folder/secret", "file", "indirect", "folder/new"):
            with self.assertRaises(WorkspaceError, msg=path):
                self.workspace.read(path, 100)
            with self.assertRaises(WorkspaceError, msg=path):
                self.workspace.write(path, b"x")
        with self.assertRaisesRegex(WorkspaceError, "'folder/secret': a part of the path is a symbolic link or no folder"):
            self.workspace.read("folder/secret", 100)
        self.assertEqual(self.read("outside/secret"), "secret")
        self.assertEqual(os.listdir(self.path("outside")), ["secret"])

    def test_a_pipe_or_a_folder_is_no_file_and_nothing_waits(self) -> None:
        os.mkfifo(self.path("ws/pipe"))
        os.mkdir(self.path("ws/dir"))
        began = time.monotonic()
        for path in ("pipe", "dir"):
            with self.assertRaisesRegex(WorkspaceError, "regular file"):
                self.workspace.read(path, 100)
            with self.assertRaisesRegex(WorkspaceError, "regular file"):
                self.workspace.write(path, b"x")
        self.assertLess(time.monotonic() - began, 1.0)

    def test_what_is_missing_is_said(self) -> None:
        with self.assertRaisesRegex(WorkspaceError, "'no/file': no such file"):
            self.workspace.read("no/file", 10)

    def test_the_agents_own_records_cannot_be_written(self) -> None:
        for path in ("audit.log", "audit.log.1", ".fireclaw/channels.json", "./audit.log", self.path("ws/audit.log")):
            with self.assertRaisesRegex(WorkspaceError, "kept by the agent itself"):
                self.workspace.write(path, b"x")

    def test_a_program_stays_executable_when_it_is_rewritten(self) -> None:
        self.workspace.write("run.sh", b"1")
        self.assertEqual(os.stat(self.path("ws/run.sh")).st_mode & 0o777, 0o644)
        os.chmod(self.path("ws/run.sh"), 0o750)
        self.workspace.write("run.sh", b"2")
        self.assertEqual(os.stat(self.path("ws/run.sh")).st_mode & 0o777, 0o750)
        # Setuid and setgid bits go: they were meant for the old content.
        os.chmod(self.path("ws/run.sh"), 0o6755)
        self.workspace.write("run.sh", b"3")
        self.assertEqual(os.stat(self.path("ws/run.sh")).st_mode & 0o7777, 0o755)

    def test_a_folder_swapped_for_a_link_during_the_walk_does_not_help(self) -> None:
        os.mkdir(self.path("ws/d"))
        self.write("ws/d/secret", "inside")
        os.symlink(self.path("outside"), self.path("ws/link"))
        ending = threading.Event()

        def swap() -> None:
            while not ending.is_set():
                os.rename(self.path("ws/d"), self.path("ws/away"))
                os.rename(self.path("ws/link"), self.path("ws/d"))
                os.rename(self.path("ws/d"), self.path("ws/link"))
                os.rename(self.path("ws/away"), self.path("ws/d"))

        thread = threading.Thread(target=swap)
        thread.start()
        seen, until = set(), time.monotonic() + 0.5
        try:
            while time.monotonic() < until:
                try:
                    seen.add(self.workspace.read("d/secret", 100)[0])
                except WorkspaceError:
                    seen.add(b"refused")
        finally:
            ending.set()
            thread.join()
        self.assertNotIn(b"secret", seen)
        self.assertTrue(seen)


if __name__ == "__main__":
    unittest.main()

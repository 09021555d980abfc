"""A guest that wants its files where they do not belong, or more of the host's disk and time than it was given."""

from __future__ import annotations

import json
import os
import stat
import time
import unittest
from pathlib import Path

from redteam import Attempt, fireclaw

OWNED = "echo owned"


def blocks_kib(path: Path) -> int:
    return path.lstat().st_blocks // 2


class Escapes(Attempt):
    def a_door(self) -> str:
        return f"ln -s {self.victim} /tmp/out"

    def a_folder(self) -> str:
        return f"mkdir /tmp/out; {OWNED} >/tmp/out/.bashrc; {OWNED} >/tmp/out/file"

    def test_a_link_first_and_a_folder_second(self) -> None:
        for links in ("inside", "keep"):
            target = f"result-{links}"
            for line in (self.a_door(), self.a_folder(), self.a_folder(), self.a_door(), self.a_folder()):
                result = self.copy_out(line, f"/tmp/out:{target}", f"--links={links}")
                # A link does not take the place of a folder.
                self.assertIn(result.returncode, (0, 125) if line == self.a_door() else (0,), result.stderr)
            self.assertEqual((self.job / target / "file").read_text(), "owned\n")
            self.assertEqual((self.job / target / "out" / "file").read_text(), "owned\n")

    def test_two_sources_with_one_target(self) -> None:
        line = f"ln -s {self.victim} /tmp/log; mkdir /tmp/bin; {OWNED} >/tmp/bin/file"
        for links in ("inside", "keep"):
            for run in range(2):
                target = f"out-{links}-{run}"
                result = self.copy_out(line, f"/tmp/log:{target}", f"/tmp/bin:{target}", f"--links={links}")
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertEqual((self.job / target / "file").read_text(), "owned\n")

    def test_a_source_that_ends_in_a_dot(self) -> None:
        for links in ("inside", "keep"):
            target = f"out-{links}"
            self.copy_out(self.a_door(), f"/tmp/out:{target}", f"--links={links}")
            for _ in range(2):
                result = self.copy_out(self.a_folder(), f"/tmp/out/.:{target}", f"--links={links}")
                self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual((self.job / target / "file").read_text(), "owned\n")
            self.assertFalse((self.job / target).is_symlink())

    def test_a_target_that_says_it_is_a_folder(self) -> None:
        (self.job / "result").symlink_to(self.victim)
        for target in ("result/", "result/."):
            result = self.copy_out(self.a_folder(), f"/tmp/out:{target}")
            self.assertEqual(result.returncode, 125)
            self.assertIn(b"symbolic link", result.stderr)

    def test_a_link_deep_in_a_tree_that_the_next_copy_makes_a_folder(self) -> None:
        first = f"mkdir -p /tmp/t/a/b; ln -s {self.victim} /tmp/t/a/b/door; ln -s ../../../../victim /tmp/t/a/b/up"
        second = f"for d in door up; do mkdir -p /tmp/t/a/b/$d; {OWNED} >/tmp/t/a/b/$d/file; done"
        for links in ("inside", "keep"):
            for line in (first, second, first, second):
                # The first to a new folder, the later ones into it.
                self.copy_out(line, "/tmp/t/.:tree", f"--links={links}")
            self.assertEqual((self.job / "tree/a/b/door/file").read_text(), "owned\n")

    def test_links_that_lead_out_are_left_out_counted_and_said(self) -> None:
        line = ("mkdir -p /tmp/t/sub; cd /tmp/t; echo x >file; ln -s file in; ln -s ../file sub/in; ln -s /etc/passwd abs;"
                "ln -s ../../.. sub/up; ln -s sub/../.. twist")
        result = self.copy_out(line, "/tmp/t:t")
        self.assertEqual(result.returncode, 0)
        self.assertIn(b"left out of '/tmp/t': 3 symbolic links", result.stderr)
        self.assertEqual(sorted(entry.name for entry in (self.job / "t").iterdir()), ["file", "in", "sub"])
        self.assertEqual((self.job / "t/sub/in").read_text(), "x\n")
        result = self.copy_out(line, "/tmp/t:kept", "--links=keep")
        self.assertEqual((result.returncode, result.stderr), (0, b""))
        self.assertEqual(os.readlink(self.job / "kept/abs"), "/etc/passwd")

    def test_modes_that_are_not_a_guests_to_give(self) -> None:
        line = "mkdir /tmp/t; cp /bin/busybox /tmp/t/su; chmod 6777 /tmp/t/su; chmod 1777 /tmp/t"
        result = self.run_in_guest(line, "--copy-out", "/tmp/t:t", umask=0o027)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(stat.S_IMODE((self.job / "t/su").stat().st_mode), 0o750)
        self.assertEqual(stat.S_IMODE((self.job / "t").stat().st_mode), 0o750)
        # Nor the mode of a folder that was there.
        self.job.chmod(0o700)
        self.run_in_guest("mkdir /tmp/t; chmod 777 /tmp/t", "--copy-out", "/tmp/t/.:.")
        self.assertEqual(stat.S_IMODE(self.job.stat().st_mode), 0o700)


class OtherWaysOut(Attempt):
    def test_vm_cp_and_workspace_pull_follow_no_link_either(self) -> None:
        name = "redteam-copies"
        for group, *force in (("vm", "--force"), ("workspace",)):
            fireclaw(group, "remove", *force, name)
            self.addCleanup(fireclaw, group, "remove", *force, name)
        self.addCleanup(fireclaw, "vm", "remove", "--force", name)
        for words in (("workspace", "create", name, "--size", "16M"), ("vm", "create", "--net", "none", "--workspace", name, name)):
            made = fireclaw(*words)
            self.assertEqual(made.returncode, 0, made.stderr)
        door, folder = f"ln -s {self.victim} out", f"mkdir out; {OWNED} >out/.bashrc; {OWNED} >out/file"
        for way, target in ((("vm", "cp", f"{name}:/workspace/out"), "copied"), (("workspace", "pull", name, "out"), "pulled")):
            for line in (door, folder, folder, door, folder):
                self.assertEqual(fireclaw("vm", "exec", name, f"cd /workspace && rm -rf out && {line}").returncode, 0)
                result = fireclaw(*way, target, cwd=self.job)
                self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual((self.job / target / "file").read_text(), "owned\n")
            self.assertEqual((self.job / target / "out" / "file").read_text(), "owned\n")


class Exhaustion(Attempt):
    def test_a_tebibyte_of_nothing_costs_nothing(self) -> None:
        began = time.monotonic()
        result = self.copy_out("truncate -s 1024G /tmp/big; echo end >>/tmp/big", "/tmp/big:big")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual((self.job / "big").stat().st_size, (1 << 40) + 4)
        self.assertLess(blocks_kib(self.job / "big"), 1024)
        self.assertLess(time.monotonic() - began, 60)

    def test_holes_stay_holes_on_the_way_in(self) -> None:
        with open(self.job / "big", "wb") as big:
            big.truncate(8 << 30)
            big.seek(5 << 30)
            big.write(b"x")
        result = self.run_in_guest("stat -c '%s %b' /tmp/big; dd if=/tmp/big bs=1M skip=5120 count=1 2>/dev/null | head -c 1",
                                   "--memory", "256", "--copy-in", "big:/tmp/big")
        self.assertEqual(result.returncode, 0, result.stderr)
        size, blocks, byte = result.stdout.split()
        self.assertEqual((int(size), byte), (8 << 30, b"x"))
        self.assertLess(int(blocks), 100)

    def test_a_file_that_grows_while_it_is_copied(self) -> None:
        began = time.monotonic()
        line = "truncate -s 4G /tmp/f; n=4; (while :; do n=$((n+1)); truncate -s ${n}G /tmp/f; done) >/dev/null 2>&1 &"
        result = self.run_in_guest(line, "-t", "5", "--copy-out", "/tmp/f:f")
        self.assertIn(result.returncode, (0, 124), result.stderr)
        self.assertLess(time.monotonic() - began, 40)

    def test_a_file_without_end(self) -> None:
        # All of the kernel's addresses, 128 TiB of which most read as zeros and none are holes.
        began = time.monotonic()
        result = self.run_in_guest("true", "-t", "1", "--copy-out", "/proc/kcore:core", "--copy-limit", "100T")
        self.assertEqual(result.returncode, 124, result.stderr)
        self.assertIn(b"timed out", result.stderr)
        self.assertLess(time.monotonic() - began, 40)
        self.assertEqual(list(self.job.iterdir()), [])

    def test_more_bytes_than_the_limit(self) -> None:
        (self.job / "x").write_text("old")
        result = self.copy_out("dd if=/dev/zero of=/tmp/x bs=1M count=3 2>/dev/null", "/tmp/x:x", "--copy-limit=2M")
        self.assertEqual(result.returncode, 125)
        self.assertIn(b"3145728", result.stderr)
        self.assertIn(b"2097152", result.stderr)
        self.assertEqual((self.job / "x").read_text(), "old")

    def test_more_files_than_the_limit(self) -> None:
        result = self.copy_out("mkdir /tmp/t; cd /tmp/t; for i in $(seq 300); do : >$i; done", "/tmp/t:t",
                               "--copy-limit=1M,200")
        self.assertEqual(result.returncode, 125)
        self.assertIn(b"200", result.stderr)
        self.assertFalse((self.job / "t").exists())


class Honesty(Attempt):
    def test_what_is_neither_file_nor_folder_nor_link_is_said(self) -> None:
        os.mkfifo(self.job / "pipe")
        result = self.run_in_guest("mkdir /tmp/t; mkfifo /tmp/t/a /tmp/t/b; mknod /tmp/t/c c 1 3; : >/tmp/t/file",
                                   "--copy-in", f"{self.job}:/tmp/in", "--copy-out", "/tmp/t:t")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn(b"left out of '/tmp/t': 3 sockets, pipes and devices", result.stderr)
        self.assertIn(b": 1 socket, pipe or device", result.stderr)
        self.assertEqual([entry.name for entry in (self.job / "t").iterdir()], ["file"])

    def test_the_commands_own_failure_is_not_hidden(self) -> None:
        result = self.copy_out("echo why >&2; exit 3", "/out/r:r")
        self.assertEqual(result.returncode, 3)
        self.assertIn(b"why", result.stderr)
        self.assertIn(b"/out/r", result.stderr)
        result = self.copy_out("echo why >&2; exit 3", "/out/r:r", "--json")
        report = json.loads(result.stdout)
        self.assertEqual((result.returncode, report["status"], report["stderr"]), (3, 3, "why\n"))
        self.assertIn("/out/r", report["copies"][0]["error"])
        result = self.run_in_guest("true", "--copy-out", "/out/r:r")
        self.assertEqual(result.returncode, 125)

    def test_what_a_command_left_when_its_time_was_over_is_copied(self) -> None:
        result = self.run_in_guest("echo x >/tmp/l; sleep 60", "-t", "5", "--copy-out", "/tmp/l:l")
        self.assertEqual(result.returncode, 124)
        self.assertEqual((self.job / "l").read_text(), "x\n")

    def test_what_is_copied_in_belongs_to_the_commands_user(self) -> None:
        (self.job / "src").mkdir()
        (self.job / "src/f").write_text("1")
        words = ("--copy-in", "src:/src")
        result = self.run_in_guest("touch /src/new && echo x >>/src/f && stat -c %u /src/f", *words, "-u", "65534:65534")
        self.assertEqual((result.returncode, result.stdout), (0, b"65534\n"), result.stderr)
        result = self.run_in_guest("stat -c %u:%g /src /src/f", *words, "-u", "65534:65534", "--chown", "7:8")
        self.assertEqual(result.stdout, b"7:8\n7:8\n")
        result = self.run_in_guest("stat -c %u:%g /src /src/f", *words)
        self.assertEqual(result.stdout, b"0:0\n0:0\n")
        result = self.run_in_guest("true", *words, "--chown", "nobody-of-that-name")
        self.assertEqual(result.returncode, 125)
        self.assertIn(b"nobody-of-that-name", result.stderr)


if __name__ == "__main__":
    unittest.main()

"""fireclaw workspace, as its users call it: neither root is needed nor anything mounted."""

import io
import json
import os
import shutil
import signal
import stat
import subprocess
import tarfile
import tempfile
import time
import unittest
from pathlib import Path
from typing import Any, Optional

FIRECLAW = os.environ["FIRECLAW_PROGRAM"]
PREPARED = Path(os.environ.get("FIRECLAW_TEST_HOME") or os.environ["FIRECLAW_BUILD_HOME"])
LIMIT_SECONDS = 120
MIB = 1 << 20


class Workspaces(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="fireclaw-workspace-test-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.home = self.folder / "home"
        self.home.mkdir(mode=0o700)
        # Machines look into workspaces. Images and snapshots are shared, with the locks that belong to them.
        for shared in ("images", "snapshots", "locks"):
            (self.home / shared).symlink_to(PREPARED / shared)
        for own in ("runs", "templates", "keys"):
            (self.home / own).mkdir(mode=0o700)
        shutil.copy2(PREPARED / "config.json", self.home)

    def words(self, *words: str) -> list[str]:
        return [FIRECLAW, "--home", str(self.home), "workspace", *words]

    def run_command(self, *words: str, stdin: Optional[bytes] = None) -> "subprocess.CompletedProcess[bytes]":
        return subprocess.run(self.words(*words), input=stdin, capture_output=True, timeout=LIMIT_SECONDS,
                              cwd=self.folder, stdin=subprocess.DEVNULL if stdin is None else None)

    def ok(self, *words: str, stdin: Optional[bytes] = None) -> bytes:
        result = self.run_command(*words, stdin=stdin)
        self.assertEqual((result.returncode, result.stderr), (0, b""), words)
        return result.stdout

    def refused(self, *words: str, text: str) -> None:
        result = self.run_command(*words)
        self.assertEqual(result.returncode, 125, words)
        self.assertTrue(result.stderr.startswith(b"fireclaw: "), result.stderr)
        self.assertEqual(result.stderr.count(b"\n"), 1, result.stderr)
        self.assertIn(text, result.stderr.decode())

    def listed(self) -> list[dict[str, Any]]:
        return json.loads(self.ok("list", "--json"))

    def members(self, name: str) -> dict[str, tarfile.TarInfo]:
        with tarfile.open(fileobj=io.BytesIO(self.ok("export", name, "-"))) as tar:
            return {member.name: member for member in tar.getmembers()}

    def test_a_program_whose_starter_ignored_the_end_of_children_is_told_of_its_tools(self) -> None:
        result = subprocess.run(self.words("create", "one"), capture_output=True, timeout=LIMIT_SECONDS,
                                preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN) and None)
        self.assertEqual((result.returncode, result.stderr), (0, b""))

    def test_a_workspace_is_made_shown_listed_and_removed(self) -> None:
        self.assertIn(b"256 MiB", self.ok("create", "notes", "--size", "256M"))
        shown = json.loads(self.ok("show", "notes", "--json"))
        self.assertEqual((shown["name"], shown["size_bytes"], shown["uid"], shown["gid"]),
                         ("notes", 256 * MIB, 1000, 1000))
        self.assertLess(shown["disk_bytes"], MIB)
        self.assertEqual((shown["clean"], shown["in_use"], shown["vm"], shown["problem"]), (True, False, "", ""))
        self.assertIn(b"256 MiB", self.ok("show", "notes"))
        self.assertIn(b"notes", self.ok("list"))
        self.assertEqual(self.listed(), [shown])
        self.ok("remove", "notes")
        self.assertEqual(self.listed(), [])
        self.assertEqual(list((self.home / "workspaces").iterdir()), [])

    def test_what_cannot_be_is_refused_in_one_line_with_the_remedy(self) -> None:
        self.ok("create", "notes")
        self.refused("create", "notes", text="there is a workspace named 'notes'")
        self.refused("create", "../x", text="'../x' cannot be the name of a workspace")
        self.refused("create", "x", "--size", "1M", text="16 to")
        self.refused("create", "x", "--size", "64X", text="units")
        self.refused("show", "nope", text="fireclaw workspace create nope")
        self.refused("pull", "notes", "nope", ".", text="'nope'")
        self.refused("push", "notes", "/no/such/file", text="/no/such/file")
        self.refused("import", "notes", "/no/such/file", text="/no/such/file")
        self.refused("export", "nope", "out.tar", text="'nope'")
        self.assertEqual(list(self.folder.glob("out.tar*")), [])

    def test_files_are_pushed_and_pulled(self) -> None:
        self.ok("create", "notes")
        tree = self.folder / "tree"
        (tree / "sub folder").mkdir(parents=True)
        (tree / "sub folder" / "na\u00efve \"x\"").write_bytes(bytes(range(256)) * 1000)
        (tree / "link").symlink_to("sub folder")
        self.assertIn(b"2 files", self.ok("push", "notes", "tree"))
        pushed = json.loads(self.ok("push", "notes", "tree/link", "memory/renamed", "--json"))
        self.assertEqual(set(pushed), {"files", "bytes", "skipped", "links_left_out"})
        self.assertEqual(pushed["files"], 1)
        self.assertIn(b"2 files", self.ok("pull", "notes", "tree", "back"))
        self.assertEqual((self.folder / "back/sub folder/na\u00efve \"x\"").read_bytes(), bytes(range(256)) * 1000)
        self.assertEqual(os.readlink(self.folder / "back/link"), "sub folder")
        self.ok("pull", "notes", "MEMORY.md")
        self.assertEqual((self.folder / "MEMORY.md").read_text(), "# Agent Memory\n")
        members = self.members("notes")
        self.assertEqual({(m.uid, m.gid) for m in members.values()}, {(1000, 1000)})
        self.assertEqual(members["memory/renamed"].linkname, "sub folder")

    def test_an_exported_tar_makes_the_same_workspace_through_pipes_and_files(self) -> None:
        self.ok("create", "one")
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz", format=tarfile.PAX_FORMAT) as tar:
            for name, mode, uid, mtime in (("\u65e5\u672c", 0o711, 70000, 1234567890), ("plain", 0o600, 0, 5 << 30)):
                member = tarfile.TarInfo(name)
                member.mode, member.uid, member.gid, member.mtime, member.size = mode, uid, 7, mtime, 3
                tar.addfile(member, io.BytesIO(b"abc"))
        self.ok("import", "one", "-", stdin=buffer.getvalue())
        first = self.ok("export", "one", "-")
        self.assertIn(b"1.0 GiB", self.ok("import", "two", "-", "--size", "1G", stdin=first))
        self.assertEqual(json.loads(self.ok("export", "two", "two.tar", "--json")),
                         {"workspace": "two", "file": "two.tar"})
        self.assertEqual((self.folder / "two.tar").read_bytes(), first)
        member = self.members("two")["\u65e5\u672c"]
        self.assertEqual((member.mode, member.uid, member.gid, member.mtime), (0o711, 70000, 7, 1234567890))
        self.assertEqual(self.members("two")["plain"].mtime, 5 << 30)

    def test_an_export_to_a_pipe_or_a_device_leaves_it_what_it_is(self) -> None:
        self.ok("create", "notes")
        pipe = self.folder / "pipe"
        os.mkfifo(pipe)
        with subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE) as reader:
            self.ok("export", "notes", str(pipe))
            assert reader.stdout is not None
            self.assertEqual(reader.stdout.read(), self.ok("export", "notes", "-"))
        self.assertTrue(pipe.is_fifo())
        if os.geteuid() == 0:
            full = self.folder / "full"
            os.mknod(full, 0o600 | stat.S_IFCHR, os.makedev(1, 7))
            self.refused("export", "notes", str(full), text="no space left")
            self.assertTrue(full.is_char_device())
        self.assertEqual([path.name for path in self.folder.glob("*.part")], [])

    def test_resizing_keeps_what_is_there_and_says_what_it_needs(self) -> None:
        self.ok("create", "notes", "--size", "128")
        (self.folder / "large").write_bytes(b"x" * (40 * MIB))
        self.ok("push", "notes", "large")
        self.assertIn(b"2.0 GiB", self.ok("resize", "notes", "2G"))
        self.refused("resize", "notes", "32M", text="needs")
        self.ok("resize", "notes", "128M")
        self.assertEqual(self.members("notes")["large"].size, 40 * MIB)
        self.assertEqual(self.ok("check", "notes"), b"sound\n")
        self.assertEqual((self.home / "workspaces/notes/disk.ext4").stat().st_size, 128 * MIB)

    def test_a_broken_one_is_listed_and_a_damaged_one_repaired(self) -> None:
        self.ok("create", "broken")
        self.ok("create", "damaged")
        (self.home / "workspaces/broken/workspace.json").write_text("{")
        disk = self.home / "workspaces/damaged/disk.ext4"
        subprocess.run(["debugfs", "-w", "-R", "clri <2>", str(disk)], check=True, capture_output=True,
                       env={"PATH": "/usr/sbin:/sbin"})
        broken, damaged = self.listed()
        self.assertIn("workspace.json", broken["problem"])
        self.assertEqual(damaged["problem"], "")
        result = self.run_command("check", "damaged")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn(b"repaired: ", result.stdout)
        self.assertIn(b"repairing it by force", result.stderr)
        self.assertEqual(self.ok("check", "damaged"), b"sound\n")
        self.ok("remove", "broken", "damaged")

    def test_killed_at_any_moment_it_is_whole_or_not_there(self) -> None:
        for delay in (0.002, 0.01, 0.02, 0.04, 0.08, 0.16, 0.3):
            process = subprocess.Popen(self.words("create", "notes"), stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
            try:
                process.wait(delay)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for workspace in self.listed():
                self.assertEqual(workspace["problem"], "")
                self.assertIn("MEMORY.md", self.members("notes"))
                self.ok("remove", "notes")
        subprocess.run([FIRECLAW, "--home", str(self.home), "gc"], check=True, capture_output=True, timeout=60)
        if (self.home / "workspaces").exists():
            self.assertEqual(list((self.home / "workspaces").iterdir()), [])

    def test_a_change_whose_caller_is_killed_leaves_the_workspace_as_it_was_and_free(self) -> None:
        self.ok("create", "notes")
        (self.folder / "large").write_bytes(os.urandom(40 * MIB))
        pushing = subprocess.Popen(self.words("push", "notes", str(self.folder / "large"), "MEMORY.md"),
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + LIMIT_SECONDS
        # Its machine writes on the copy.
        while not any(disk.stat().st_blocks * 512 > 8 * MIB
                      for disk in (self.home / "workspaces").glob(".draft-notes-*/disk.ext4")):
            self.assertIsNone(pushing.poll(), "the push was over before it was seen")
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)
        pushing.kill()
        pushing.wait()
        self.ok("pull", "notes", "MEMORY.md", "back")
        self.assertEqual((self.folder / "back").read_text(), "# Agent Memory\n")
        subprocess.run([FIRECLAW, "--home", str(self.home), "gc"], check=True, capture_output=True, timeout=60)
        self.assertEqual([path.name for path in (self.home / "workspaces").iterdir()], ["notes"])
        self.assertEqual(list((self.home / "runs").iterdir()), [])
        self.assertEqual(self.ok("check", "notes"), b"sound\n")

    def test_those_who_come_at_the_same_time_wait_for_each_other(self) -> None:
        self.ok("create", "notes")
        readers = [subprocess.Popen(self.words("pull", "notes", "MEMORY.md", str(self.folder / f"copy{i}")),
                                    stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
                   for i in range(3)]
        for i, reader in enumerate(readers):
            _, said = reader.communicate(timeout=LIMIT_SECONDS)
            self.assertEqual((reader.returncode, said), (0, b""))
            self.assertEqual((self.folder / f"copy{i}").read_text(), "# Agent Memory\n")

    @unittest.skipUnless(os.geteuid() == 0, "only root can become somebody else")
    def test_an_ordinary_user_needs_no_privileges(self) -> None:
        self.folder.chmod(0o755)
        for shared in ("images", "snapshots", "locks"):
            (self.home / shared).unlink()
        shutil.copytree(PREPARED / "images", self.home / "images", ignore=shutil.ignore_patterns(".*"))
        for path in (self.home, *self.home.rglob("*")):
            os.chown(path, 65534, 65534)

        def run(*words: str, stdin: Optional[bytes] = None) -> "subprocess.CompletedProcess[bytes]":
            return subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs",
                                   *self.words(*words)], capture_output=True, timeout=LIMIT_SECONDS, cwd="/",
                                  input=stdin if stdin is not None else b"", env={"PATH": os.environ["PATH"]})

        if run("--help").returncode != 0:
            self.skipTest("the build folder is out of other users' reach")
        for words in (("create", "one"), ("push", "one", "/etc/hostname"), ("resize", "one", "128M"), ("check", "one")):
            result = run(*words)
            self.assertEqual(result.returncode, 0, (words, result.stderr))
        exported = run("export", "one", "-").stdout
        result = run("import", "two", "-", stdin=exported)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(run("export", "two", "-").stdout, exported)
        with tarfile.open(fileobj=io.BytesIO(exported)) as tar:
            self.assertEqual({(m.uid, m.gid) for m in tar.getmembers()}, {(1000, 1000)})

    def test_an_exported_tar_gives_nobody_rights(self) -> None:
        made = io.BytesIO()
        with tarfile.open(fileobj=made, mode="w") as tar:
            program = tarfile.TarInfo("program")
            program.mode, program.size = 0o6755, 3
            tar.addfile(program, io.BytesIO(b"su\n"))
            for name, kind in (("disk", tarfile.BLKTYPE), ("line", tarfile.CHRTYPE)):
                device = tarfile.TarInfo(name)
                device.type, device.devmajor, device.devminor, device.mode = kind, 8, 0, 0o666
                tar.addfile(device)
        self.ok("create", "rights", "--size", "16M")
        self.ok("import", "rights", "-", stdin=made.getvalue())
        exported = self.run_command("export", "rights", "-")
        self.assertEqual(exported.returncode, 0, exported.stderr)
        self.assertIn(b"2 device node(s) and the set-user-id or set-group-id bits of 1 file(s) are left out",
                      exported.stderr)
        with tarfile.open(fileobj=io.BytesIO(exported.stdout)) as tar:
            found = {member.name.removeprefix("./"): member for member in tar.getmembers()}
        self.assertEqual(found["program"].mode, 0o755)
        self.assertFalse({"disk", "line"} & set(found))

    @unittest.skipUnless(os.geteuid() == 0, "only root can mount a small disk")
    def test_a_host_disk_that_fills_up_is_named_and_nothing_is_left(self) -> None:
        self.ok("create", "first")
        (self.folder / "large").write_bytes(os.urandom(6 * MIB))
        script = ('mount -t tmpfs -o size=4m,mode=0700 none "$1/home/workspaces" || exit 77;'
                  '"$2" --home "$1/home" workspace create notes;'
                  '"$2" --home "$1/home" workspace push notes "$1/large"; echo "status $?";'
                  '"$2" --home "$1/home" workspace check notes; ls -A "$1/home/workspaces"')
        result = subprocess.run(["unshare", "--mount", "sh", "-c", script, "sh", str(self.folder), FIRECLAW],
                                capture_output=True, text=True, timeout=LIMIT_SECONDS, stdin=subprocess.DEVNULL)
        if result.returncode == 77 or "unshare failed" in result.stderr:
            self.skipTest("this machine does not permit a mount namespace of one's own")
        self.assertEqual(result.stdout.splitlines(), ["workspace notes: 64 MiB", "status 125", "sound", "notes"],
                         result.stderr)
        self.assertIn("disk is full", result.stderr)

    def test_without_setup_the_remedy_is_said_and_what_needs_no_machine_works(self) -> None:
        self.home = self.folder / "fresh"
        self.ok("create", "notes")
        self.assertEqual([info["name"] for info in self.listed()], ["notes"])
        self.assertEqual(self.ok("check", "notes"), b"sound\n")
        self.refused("pull", "notes", "MEMORY.md", text="fireclaw setup")


if __name__ == "__main__":
    unittest.main()

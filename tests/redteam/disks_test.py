"""What a guest leaves on its disk, in its log, or in an image, and what it does to those who look at that."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import pty
import resource
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile
import unittest
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))
from sanitized import is_sanitized  # noqa: E402

FIRECLAW = os.environ["FIRECLAW_PROGRAM"]
HOME = Path(os.environ.get("FIRECLAW_TEST_HOME") or os.environ["FIRECLAW_BUILD_HOME"])
LIMIT_SECONDS = 120
# Writes to the clipboard, sets a title, and uses an introducer of the second set of control characters.
ESCAPES = b"\033]52;c;cm0gLXJmIH4=\007\033]0;owned\007\xc2\x9b31m\rall is well\n"


def fireclaw(*words: str, home: Path = HOME, **more: Any) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run([FIRECLAW, "--home", str(home), *words], timeout=LIMIT_SECONDS,
                          **{"capture_output": True, "stdin": subprocess.DEVNULL, **more})


def on_a_terminal(*words: str) -> bytes:
    """What the command shows there."""
    ours, theirs = pty.openpty()
    with subprocess.Popen([FIRECLAW, "--home", str(HOME), *words], stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs) as run:
        os.close(theirs)
        shown = b""
        try:
            while piece := os.read(ours, 65536):
                shown += piece
        except OSError:
            pass  # EIO: nobody has the terminal any more.
        run.wait(LIMIT_SECONDS)
    os.close(ours)
    return shown


def tar_of(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def member(name: str, **fields: Any) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(made, field, value)
    return made


class Disks(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="fireclaw-redteam-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def ok(self, *words: str, **more: Any) -> bytes:
        done = fireclaw(*words, **more)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def workspace(self, name: str, tar: bytes) -> str:
        """A workspace of that content, as if a guest had put it there."""
        fireclaw("workspace", "remove", name)
        self.addCleanup(fireclaw, "workspace", "remove", name)
        self.ok("workspace", "import", name, "-", "--size", "16M", stdin=None, input=tar)
        return name

    def test_an_export_holds_no_devices_and_no_rights(self) -> None:
        tar = tar_of((member("su", mode=0o6755), b"su\n"),
                     (member("disk", type=tarfile.BLKTYPE, devmajor=8, mode=0o666), b""),
                     (member("kmem", type=tarfile.CHRTYPE, devmajor=1, devminor=2, mode=0o666), b""))
        self.workspace("redteam-export", tar)
        exported = fireclaw("workspace", "export", "redteam-export", "-")
        self.assertEqual(exported.returncode, 0, exported.stderr)
        self.assertIn(b"2 device node(s)", exported.stderr)
        members = {m.name: m for m in tarfile.open(fileobj=io.BytesIO(exported.stdout))}
        self.assertEqual({name: m.mode for name, m in members.items()}, {"su": 0o755})
        # Capabilities as a guest's root would set them; no guest of ours has the program for it.
        value = r"\001\000\000\002\000\040\000\000\000\000\000\000\000\000\000\000\000\000\000\000"
        subprocess.run(["debugfs", "-w", "-R", f'ea_set /su security.capability "{value}"',
                        str(HOME / "workspaces/redteam-export/disk.ext4")], check=True, capture_output=True,
                       env={"PATH": "/usr/sbin:/sbin"})
        for flags, modes, capabilities in (((), {"su": 0o755}, {}), (("--raw",), {"su": 0o6755, "disk": 0o666, "kmem": 0o666},
                                            {"su": "\1\0\0\2\0\x20" + "\0" * 14})):
            exported = fireclaw("workspace", "export", *flags, "redteam-export", "-")
            self.assertEqual(exported.returncode, 0, exported.stderr)
            members = {m.name: m for m in tarfile.open(fileobj=io.BytesIO(exported.stdout))}
            self.assertEqual({name: m.mode for name, m in members.items()}, modes)
            self.assertEqual({name: m.pax_headers["SCHILY.xattr.security.capability"] for name, m in members.items()
                              if "SCHILY.xattr.security.capability" in m.pax_headers}, capabilities)
        self.assertEqual((members["disk"].type, members["disk"].devmajor), (tarfile.BLKTYPE, 8))

    @unittest.skipIf(is_sanitized(FIRECLAW), "the sanitizer's memory is counted too")
    def test_a_guest_that_makes_up_a_tar_fills_no_memory(self) -> None:
        workspace, name = self.workspace("redteam-liar", tar_of((member("x"), b""))), "redteam-liar"
        fireclaw("vm", "remove", "--force", name)
        self.addCleanup(fireclaw, "vm", "remove", "--force", name)
        self.ok("vm", "create", "--net", "none", "--workspace", workspace, name)
        deep = self.folder / "deep.tar"
        # A file below two million folders: a list of these takes terabytes.
        deep.write_bytes(member("a/" * ((2 << 20) - 8) + "f").tobuf(tarfile.GNU_FORMAT) + bytes(1024))
        self.ok("vm", "cp", str(deep), f"{name}:/deep.tar")
        self.ok("vm", "exec", name, "rm -f $(which tar); printf '#!/bin/sh\ncat /deep.tar\n' >/bin/tar; chmod 755 /bin/tar")
        command = subprocess.Popen([FIRECLAW, "--home", str(HOME), "workspace", "export", workspace, "-"],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                   preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30)))
        assert command.stderr is not None
        said = command.stderr.read().decode(errors="replace")
        command.stderr.close()
        _, status, used = os.wait4(command.pid, 0)
        command.returncode = os.waitstatus_to_exitcode(status)
        self.assertEqual(command.returncode, 125, said)
        self.assertIn("longer than 4095 bytes", said)
        self.assertLess(used.ru_maxrss, 256 << 10)

    def test_what_an_agent_wrote_moves_no_terminal(self) -> None:
        log = member(".fireclaw/agent.log", mode=0o644)
        self.workspace("redteam-agent", tar_of((log, ESCAPES), (member("MEMORY.md", mode=0o644), ESCAPES)))
        record = HOME / "agents" / "redteam-agent.json"
        record.parent.mkdir(mode=0o700, exist_ok=True)
        record.write_text(json.dumps({"schema": 1, "name": "redteam-agent", "template": "worker", "detached": True,
                                      "phase": "stopped", "run": "", "started_ms": 0, "last_error": ""}))
        self.addCleanup(record.unlink)
        for what in ("logs", "memory"):
            shown = on_a_terminal("agent", what, "redteam-agent").replace(b"\r\n", b"\n")
            self.assertEqual(shown, b"\\x1b]52;c;cm0gLXJmIH4=\\x07\\x1b]0;owned\\x07\\xc2\\x9b31m\\x0dall is well\n", what)
            self.assertEqual(self.ok("agent", what, "redteam-agent"), ESCAPES, what)

    def test_a_command_without_a_terminal_moves_none(self) -> None:
        words = ("run", "--net", "none", r"printf 'a\033]0;owned\007\302\233b\n'; printf '\033[8mc\n' >&2")
        shown = on_a_terminal(*words).replace(b"\r\n", b"\n")
        self.assertIn(b"a\\x1b]0;owned\\x07\\xc2\\x9bb\n", shown)
        self.assertIn(b"\\x1b[8mc\n", shown)
        self.assertEqual(self.ok(*words), b"a\033]0;owned\007\xc2\x9bb\n")

    def test_neither_does_json_nor_a_console(self) -> None:
        line = r"printf 'a\302\233\177\342\200\256b\033]0;x\007\n'"
        shown = on_a_terminal("run", "--net", "none", "--json", line).decode()
        self.assertIn(r"a\u009b\u007f\u202eb\u001b]0;x\u0007", shown)
        name = "redteam-console"
        fireclaw("vm", "remove", "--force", name)
        self.addCleanup(fireclaw, "vm", "remove", "--force", name)
        self.ok("vm", "create", "--net", "none", name)
        self.ok("vm", "exec", name, f"{line} >/dev/console")
        shown = on_a_terminal("vm", "logs", name).decode()
        self.assertIn(r"a\xc2\x9b\x7f\xe2\x80\xaeb\x1b]0;x\x07", shown)
        # Of the names of its files errors speak.
        self.ok("vm", "exec", name, r"mkdir /tmp/t; head -c 3000000 /dev/zero >/tmp/t/$(printf 'f\302\233\033]0;x\007')")
        copied = on_a_terminal("vm", "cp", "--copy-limit", "1M", f"{name}:/tmp/t", str(self.folder / "t")).decode()
        self.assertIn(r"f\xc2\x9b\x1b]0;x\x07' has 3000000 bytes", copied)
        executed = on_a_terminal("vm", "exec", name, line).decode()
        self.assertIn(r"a\xc2\x9b\x7f\xe2\x80\xaeb\x1b]0;x\x07", executed)
        # The program's own colour stands before its name.
        for text in (shown, copied.partition("copying")[2], executed, on_a_terminal("vm", "logs", "--json", name).decode()):
            unseen = [c for c in text if c not in "\r\n\t" and (ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 or c == "\u202e")]
            self.assertEqual(unseen, [], text)

    def test_an_error_that_quotes_a_name_holds_none_of_its_escapes(self) -> None:
        for name in ("\033]0;x\007", "\u009b31m"):
            said = fireclaw("workspace", "show", name, "--json")
            self.assertNotEqual(said.returncode, 0)
            message = json.loads(said.stdout)["error"]["message"]
            self.assertIn("\\x", message)
            self.assertFalse([c for c in message if ord(c) < 0x20 or 0x7f <= ord(c) < 0xa0], message)

    def test_a_layer_that_unpacks_without_end_is_refused_before_the_disk_is_full(self) -> None:
        blobs = self.folder / "oci/blobs/sha256"
        blobs.mkdir(parents=True)

        def put(data: bytes, kind: str) -> dict[str, Any]:
            digest = hashlib.sha256(data).hexdigest()
            (blobs / digest).write_bytes(data)
            return {"digest": f"sha256:{digest}", "size": len(data), "mediaType": f"application/vnd.oci.image.{kind}"}

        size = 300 << 20
        packed = io.BytesIO()
        with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as out:
            out.write(member("zeros", size=size).tobuf())
            for _ in range(size >> 20):
                out.write(bytes(1 << 20))
            out.write(bytes(1024))
        layer = put(packed.getvalue(), "layer.v1.tar+gzip")
        config = put(json.dumps({"os": "linux", "architecture": "amd64", "config": {}}).encode(), "config.v1+json")
        # Each alone fits.
        manifest = put(json.dumps({"schemaVersion": 2, "config": config, "layers": [layer, layer]}).encode(), "manifest.v1+json")
        (self.folder / "oci/index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [manifest]}))
        build = ("image", "build", "redteam-bomb", "--oci", f"oci:{self.folder}/oci")
        said = fireclaw(*build, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (400 << 20, 400 << 20)))
        self.assertNotEqual(said.returncode, 0)
        self.assertIn(b"layer 2 (sha256:", said.stderr)
        self.assertIn(b"99 MiB of at most 400 MiB are left", said.stderr)
        self.assertEqual(list((HOME / "images").glob("*redteam-bomb*")), [])


class HomeFolder(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="fireclaw-redteam-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.home = self.folder / "home"

    def test_one_that_others_may_enter_is_refused_with_the_way_to_close_it(self) -> None:
        for mode in (0o777, 0o755, 0o711, 0o750, 0o704):
            self.home.mkdir(exist_ok=True)
            self.home.chmod(mode)
            said = fireclaw("vm", "list", home=self.home)
            self.assertEqual(said.returncode, 125, oct(mode))
            self.assertIn(f"chmod 700 {self.home}".encode(), said.stderr)
            self.assertEqual(list(self.home.iterdir()), [])
        self.home.chmod(0o700)
        self.assertEqual(fireclaw("vm", "list", home=self.home).returncode, 0)

    def test_folders_are_for_one_user_alone_whatever_the_umask(self) -> None:
        for umask in (0, 0o022, 0o177):
            def use(mask: int = umask) -> None:
                os.umask(mask)
            shutil.rmtree(self.home, ignore_errors=True)
            made = fireclaw("workspace", "create", "notes", "--size", "16M", home=self.home, preexec_fn=use)
            self.assertEqual(made.returncode, 0, made.stderr)
            modes = {path: stat.S_IMODE(path.stat().st_mode)
                     for path in (self.home, *self.home.rglob("*")) if path.is_dir()}
            self.assertEqual(set(modes.values()), {0o700}, modes)

    @unittest.skipUnless(os.geteuid() == 0, "only root can mount")
    def test_doctor_sees_one_that_cannot_be_written_to(self) -> None:
        self.home.mkdir(mode=0o700)
        self.assertEqual(fireclaw("vm", "list", home=self.home).returncode, 0)
        script = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && exec "$2" --home "$1" doctor --json'
        said = subprocess.run(["unshare", "--mount", "sh", "-c", script, "sh", str(self.home), FIRECLAW],
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT_SECONDS)
        self.assertEqual(said.returncode, 1, said.stderr)
        home = next(check for check in json.loads(said.stdout)["checks"] if check["name"] == "home")
        self.assertEqual(home["status"], "missing")
        self.assertIn("read-only file system", home["detail"].lower())
        self.assertTrue(home["remedy"])


if __name__ == "__main__":
    unittest.main()

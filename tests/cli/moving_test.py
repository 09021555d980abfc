"""Archives of agents and snapshots, backups: as their users call them. No machine is needed, nor root."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
import unittest
from pathlib import Path
from typing import Any, Callable, Dict, Optional

FIRECLAW = os.environ["FIRECLAW_PROGRAM"]
LIMIT_SECONDS = 120
MIB = 1 << 20
TEMPLATE = {"nick": "tern", "model": "m", "persona": "A bird.", "irc": {"password": "hunter2"}}


def agent_record(name: str, template: str = "tern") -> Dict[str, Any]:
    return {"schema": 1, "name": name, "template": template, "model": "qwen2.5:7b", "detached": True,
            "network": "user", "phase": "running", "run": "0123456789abcdef", "started_ms": 5, "last_error": ""}


class Moving(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="fireclaw-moving-test-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.home = self.folder / "home"
        self.other = self.folder / "other"
        for home in (self.home, self.other):
            home.mkdir(mode=0o700)
            self.ok("agent", "list", home=home)

    def run_command(self, *words: str, home: Optional[Path] = None) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([FIRECLAW, "--home", str(home or self.home), *words], capture_output=True, text=True,
                              timeout=LIMIT_SECONDS, cwd=self.folder, stdin=subprocess.DEVNULL)

    def ok(self, *words: str, home: Optional[Path] = None) -> str:
        result = self.run_command(*words, home=home)
        self.assertEqual((result.returncode, result.stderr), (0, ""), words)
        return result.stdout

    def refused(self, *words: str, home: Optional[Path] = None, text: str) -> None:
        before = self.files(home or self.home)
        result = self.run_command(*words, home=home)
        self.assertEqual(result.returncode, 125, words)
        self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
        self.assertIn(text, result.stderr)
        self.assertEqual(self.files(home or self.home), before, "a refused command leaves nothing behind")

    @staticmethod
    def files(home: Path) -> set[str]:
        return {str(path.relative_to(home)) for path in home.rglob("*") if path.parts[len(home.parts)] != "locks"}

    def make_agent(self, name: str = "ada") -> None:
        for folder in ("agents", "templates"):
            (self.home / folder).mkdir(exist_ok=True)
        (self.home / f"agents/{name}.json").write_text(json.dumps(agent_record(name)))
        (self.home / "templates/tern.json").write_text(json.dumps(TEMPLATE))
        self.ok("workspace", "create", name, "--size", "512M")
        (self.folder / "note").write_text("kept\n")
        self.debugfs("-w", f"write {self.folder / 'note'} note", self.home / "workspaces" / name / "disk.ext4")

    @staticmethod
    def debugfs(*words: object) -> str:
        """On a disk that nobody uses; fireclaw itself would start a machine for it."""
        *options, command, disk = map(str, words)
        return subprocess.run(["/sbin/debugfs", *options, "-R", command, disk], capture_output=True, text=True, check=True).stdout

    def read_note(self, name: str, home: Path) -> str:
        return self.debugfs("cat /note", home / "workspaces" / name / "disk.ext4")

    def make_snapshot(self, name: str = "before") -> None:
        folder = self.home / "snapshots" / name
        folder.mkdir(parents=True)
        state = b"state" * 1000
        (folder / "state").write_bytes(state)
        with open(folder / "memory", "wb") as memory:
            memory.truncate(64 * MIB)
            memory.seek(5 * MIB)
            memory.write(b"m" * 8192)
        record = {"schema": 1, "name": name, "engine": "qemu-tcg", "engine_identity": "another", "image": "busybox",
                  "image_digest": "0" * 64, "cpus": 1, "memory_mib": 64, "network": "", "drives": "", "prepared": "",
                  "automatic": False, "created_ms": 5, "state_bytes": len(state),
                  "state_sha256": hashlib.sha256(state).hexdigest(), "memory_bytes": 64 * MIB}
        (folder / "manifest.json").write_text(json.dumps(record))

    def test_a_stopped_agent_moves_to_another_home(self) -> None:
        self.make_agent()
        self.ok("agent", "export", "ada", "ada.tar")
        archive = self.folder / "ada.tar"
        self.assertLess(archive.stat().st_size, 8 * MIB, "holes stay holes")
        self.assertEqual(archive.stat().st_mode & 0o777, 0o600)
        self.assertNotIn(b"hunter2", archive.read_bytes())
        made = json.loads(self.ok("agent", "import", "ada.tar", "--json", home=self.other))
        self.assertEqual((made["agent"], made["template"], made["snapshot"]), ("ada", "tern", ""))
        self.assertEqual(self.read_note("ada", self.other), "kept\n")
        info = json.loads(self.ok("agent", "status", "ada", "--json", home=self.other))
        self.assertEqual((info["state"], info["model"], info["vm"]), ("stopped", "qwen2.5:7b", ""))
        self.assertEqual(json.loads((self.other / "templates/tern.json").read_text())["persona"], "A bird.")

    def test_rights_on_this_host_are_not_taken_from_an_archive(self) -> None:
        self.make_agent()
        for right, text in (({"publish": ["8080:80"]}, "takes ports of this host"),
                            ({"network": "user"}, "reaches this host's own network")):
            with self.subTest(text):
                template = json.dumps({**TEMPLATE, **right})
                (self.home / "templates/tern.json").write_text(template)
                self.ok("agent", "export", "ada", "ada.tar")
                self.refused("agent", "import", "ada.tar", home=self.other, text=text)
        (self.other / "templates").mkdir(exist_ok=True)
        (self.other / "templates/tern.json").write_text(template)
        self.ok("agent", "import", "ada.tar", home=self.other)
        record = json.loads((self.other / "agents/ada.json").read_text())
        self.assertIsNone(record.get("network"), "the template's, when it starts")

    def test_an_export_writes_through_no_link_that_lies_beside_it(self) -> None:
        self.make_snapshot()
        (self.folder / "elsewhere").write_text("kept\n")
        (self.folder / "before.tar.part").symlink_to(self.folder / "elsewhere")
        self.ok("snapshot", "export", "before", "before.tar")
        self.assertEqual((self.folder / "elsewhere").read_text(), "kept\n")
        self.assertEqual({path.name for path in self.folder.glob("before.tar*")}, {"before.tar", "before.tar.part"})

    def test_an_archive_is_read_from_a_pipe_and_compressed(self) -> None:
        self.make_agent()
        shell = ('set -o pipefail; "$0" --home home agent export ada - | gzip |'
                 ' "$0" --home other agent import - --name bob')
        subprocess.run(["bash", "-c", shell, FIRECLAW], check=True, cwd=self.folder, timeout=LIMIT_SECONDS)
        self.assertEqual(self.read_note("bob", self.other), "kept\n")

    def test_nothing_that_is_there_is_replaced(self) -> None:
        self.make_agent()
        self.ok("agent", "export", "ada", "ada.tar")
        self.refused("agent", "import", "ada.tar", text="there is an agent 'ada' already")
        (self.other / "templates").mkdir(exist_ok=True)
        (self.other / "templates/tern.json").write_text(json.dumps({**TEMPLATE, "model": "x"}))
        self.refused("agent", "import", "ada.tar", home=self.other,
                     text="give the agent's template another name with --template")
        made = self.ok("agent", "import", "ada.tar", "--template", "tern2", home=self.other)
        self.assertIn("fireclaw agent restart ada", made)

    def test_a_snapshot_moves_with_its_digests(self) -> None:
        self.make_snapshot()
        self.ok("snapshot", "export", "before", "before.tar")
        self.assertLess((self.folder / "before.tar").stat().st_size, MIB)
        result = self.run_command("snapshot", "import", "before.tar", "--name", "older", home=self.other)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("it cannot be restored here: image 'busybox' is gone", result.stderr)
        for name in ("state", "memory"):
            self.assertEqual((self.other / "snapshots/older" / name).read_bytes(),
                             (self.home / "snapshots/before" / name).read_bytes())
        self.refused("snapshot", "import", "before.tar", "--name", "older", home=self.other,
                     text="there is a snapshot named 'older'")
        self.refused("snapshot", "import", "before.tar", "--name", "auto-0123456789abcdef", home=self.other,
                     text="give the snapshot another one")

    def test_gnu_tar_unpacks_an_archive_and_sha256sum_agrees_with_its_manifest(self) -> None:
        self.make_snapshot()
        self.ok("snapshot", "export", "before", "before.tar")
        out = self.folder / "out"
        out.mkdir()
        subprocess.run(["tar", "-xf", self.folder / "before.tar", "-C", out], check=True)
        manifest = json.loads((out / "manifest.json").read_text())
        self.assertEqual({file["name"] for file in manifest["files"]}, {"snapshot.json", "state", "memory"})
        for file in manifest["files"]:
            self.assertEqual(hashlib.sha256((out / file["name"]).read_bytes()).hexdigest(), file["sha256"])

    def changed(self, change: Callable[[Dict[str, bytes]], None],
                add: Callable[[tarfile.TarFile], None] = lambda tar: None) -> str:
        """The archive of the snapshot `before` with other members."""
        members: Dict[str, bytes] = {}
        out = self.folder / "out"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        subprocess.run(["tar", "-xf", self.folder / "before.tar", "-C", out], check=True)
        for path in out.iterdir():
            members[path.name] = path.read_bytes()
        change(members)
        with tarfile.open(self.folder / "changed.tar", "w") as tar:
            for name, content in members.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
            add(tar)
        return "changed.tar"

    def test_hostile_archives_are_refused_and_leave_nothing(self) -> None:
        self.make_snapshot()
        self.ok("snapshot", "export", "before", "before.tar")

        def with_type(name: str, kind: bytes, target: str = "state") -> Callable[[tarfile.TarFile], None]:
            def add(tar: tarfile.TarFile) -> None:
                entry = tarfile.TarInfo(name)
                entry.type, entry.linkname = kind, target
                tar.addfile(entry)
            return add

        def manifest(change: Callable[[Dict[str, Any]], None]) -> Callable[[Dict[str, bytes]], None]:
            def apply(members: Dict[str, bytes]) -> None:
                value = json.loads(members["manifest.json"])
                change(value)
                members["manifest.json"] = json.dumps(value).encode()
            return apply

        def nothing(members: Dict[str, bytes]) -> None:
            pass

        cases = [
            (self.changed, lambda m: m.update({"../evil": b"x"}), None, "does not belong there"),
            (self.changed, lambda m: m.update({"/etc/evil": b"x"}), None, "does not belong there"),
            (self.changed, lambda m: m.update({"extra": b"x"}), None, "does not belong there"),
            (self.changed, nothing, with_type("scratch", tarfile.SYMTYPE, "/etc/passwd"), "does not belong there"),
            (self.changed, nothing, with_type("scratch", tarfile.LNKTYPE), "does not belong there"),
            (self.changed, nothing, with_type("scratch", tarfile.CHRTYPE), "does not belong there"),
            (self.changed, nothing, with_type("state", tarfile.REGTYPE), "is there twice"),
            (self.changed, nothing, with_type("scratch", tarfile.REGTYPE), "its manifest does not name 'scratch'"),
            (self.changed, lambda m: m.pop("manifest.json"), None, "it has no manifest.json"),
            (self.changed, lambda m: m.pop("memory"), None, "'memory', which is not there once"),
            (self.changed, lambda m: m.update({"state": m["state"][:-1]}), None, "where the archive's manifest says"),
            (self.changed, lambda m: m.update({"state": b"X" + m["state"][1:]}), None, "its SHA-256 is another"),
            (self.changed, lambda m: m.update({"snapshot.json": m["snapshot.json"].replace(b"busybox", b"busy/ox")}),
             None, "its SHA-256 is another"),
            (self.changed, manifest(lambda v: v.update(kind="agent")), None, "this is 'agent', where 'snapshot'"),
            (self.changed, manifest(lambda v: v.update(schema=99)), None, "this fireclaw reads schema 1"),
            (self.changed, manifest(lambda v: v["files"].append(v["files"][0])), None, "which is not there once"),
        ]

        def vast(tar: tarfile.TarFile) -> None:
            entry = tarfile.TarInfo("memory")
            entry.size = tarfile.BLOCKSIZE
            entry.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "memory",
                                 "GNU.sparse.realsize": str(2 << 40)}
            tar.addfile(entry, io.BytesIO(b"0\n".ljust(tarfile.BLOCKSIZE, b"\0")))

        def claim_vast(members: Dict[str, bytes]) -> None:
            del members["memory"]
            manifest(lambda v: [file.update(bytes=2 << 40) for file in v["files"] if file["name"] == "memory"])(members)

        cases.append((self.changed, claim_vast, vast, "'memory' is larger than 1 TiB"))
        for make, change, add, text in cases:
            with self.subTest(text):
                name = make(change, add) if add else make(change)
                self.refused("snapshot", "import", name, home=self.other, text=text)
        whole = (self.folder / "before.tar").read_bytes()
        (self.folder / "torn.tar").write_bytes(whole[:len(whole) // 2])
        self.refused("snapshot", "import", "torn.tar", home=self.other, text="it ends too early")
        (self.folder / "text").write_text("not an archive\n")
        self.refused("snapshot", "import", "text", home=self.other, text="tar")

    @unittest.skipUnless(os.geteuid() == 0, "only root can mount")
    def test_an_archive_of_little_between_holes_does_not_fill_the_disk(self) -> None:
        self.make_snapshot()
        self.ok("snapshot", "export", "before", "before.tar")
        block, pieces = 4096, 20_000

        def claim(members: Dict[str, bytes]) -> None:
            value = json.loads(members["manifest.json"])
            next(file for file in value["files"] if file["name"] == "memory")["bytes"] = pieces * block
            members["manifest.json"] = json.dumps(value).encode()
            del members["memory"]

        def scattered(tar: tarfile.TarFile) -> None:
            content = f"{pieces}\n".encode() + b"".join(b"%d\n1\n" % (number * block) for number in range(pieces))
            content += bytes(-len(content) % tarfile.BLOCKSIZE) + b"x" * pieces
            entry = tarfile.TarInfo("memory")
            entry.size = len(content)
            entry.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "memory",
                                 "GNU.sparse.realsize": str(pieces * block)}
            tar.addfile(entry, io.BytesIO(content))

        name = self.changed(claim, scattered)
        script = 'mount -t tmpfs -o size=64m,mode=0700 none "$1" && exec "$2" --home "$1" snapshot import "$3"'
        said = subprocess.run(["unshare", "--mount", "sh", "-c", script, "sh", str(self.other), FIRECLAW, name],
                              cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=LIMIT_SECONDS)
        self.assertEqual(said.returncode, 125, said.stderr)
        self.assertRegex(said.stderr, "the archive takes [0-9]+ MiB, and [0-9]+ MiB are free")

    def test_an_archive_of_nothing_but_names_does_not_fill_the_memory(self) -> None:
        with tarfile.open(self.folder / "many.tar.gz", "w:gz", compresslevel=1) as tar:
            for number in range(1500):
                tar.addfile(tarfile.TarInfo(str(number)))
        self.refused("snapshot", "import", "many.tar.gz", home=self.other, text="it has too many members")

    def test_an_import_that_is_killed_leaves_what_gc_removes_and_can_be_done_again(self) -> None:
        self.make_snapshot()
        self.ok("snapshot", "export", "before", "before.tar")
        before = self.files(self.other)
        archive = (self.folder / "before.tar").read_bytes()
        with subprocess.Popen([FIRECLAW, "--home", str(self.other), "snapshot", "import", "-"], stdin=subprocess.PIPE,
                              stdout=subprocess.DEVNULL) as importing:
            assert importing.stdin is not None
            importing.stdin.write(archive[:len(archive) // 2])
            importing.stdin.flush()
            end = time.monotonic() + LIMIT_SECONDS
            while not any("/archive" in name for name in self.files(self.other)):
                self.assertLess(time.monotonic(), end)
                time.sleep(0.02)
            importing.kill()
        self.assertNotIn("snapshots/before", self.files(self.other))
        self.ok("gc", home=self.other)
        self.assertEqual(self.files(self.other), before)
        self.ok("agent", "list", home=self.other)
        self.assertEqual(self.run_command("snapshot", "import", "before.tar", home=self.other).returncode, 0)

    def test_names_in_records_of_an_archive_are_not_believed(self) -> None:
        self.make_snapshot()
        self.ok("snapshot", "export", "before", "before.tar")

        def rename(members: Dict[str, bytes]) -> None:
            record = json.loads(members["snapshot.json"])
            record["name"] = "../../evil"
            members["snapshot.json"] = json.dumps(record).encode()
            value = json.loads(members["manifest.json"])
            for file in value["files"]:
                if file["name"] == "snapshot.json":
                    file.update(bytes=len(members["snapshot.json"]),
                                sha256=hashlib.sha256(members["snapshot.json"]).hexdigest())
            members["manifest.json"] = json.dumps(value).encode()

        self.refused("snapshot", "import", self.changed(rename), home=self.other, text="cannot be")

    def make_home(self) -> None:
        self.make_agent()
        (self.home / "overseer").mkdir()
        (self.home / "overseer/audit.log").write_text("a line\n")
        (self.home / "overseer.json").write_text('{"server": "localhost", "password": "hunter2"}')
        irc = {"host": "irc.example.org", "password": "hunter2"}
        (self.home / "config.json").write_text(json.dumps({"schema": 1, "set_up_by": "0.1.0", "engines": [],
                                                           "irc": irc}))
        subprocess.run([FIRECLAW, "--home", str(self.home), "secret", "set", "key"], input="hunter2\n", text=True,
                       check=True, capture_output=True, timeout=LIMIT_SECONDS)

    def test_a_backup_is_restored_into_a_new_home(self) -> None:
        self.make_home()
        report = json.loads(self.ok("backup", "saved", "--json"))
        for path in (self.folder / "saved").rglob("*"):
            if path.is_file():
                self.assertNotIn(b"hunter2", path.read_bytes(), path)
        self.assertEqual(set(report["left_out"]), {"secrets.json", "config.json: irc.password",
                                                   "overseer.json: password", "templates/tern.json: irc.password"})
        self.assertIn("restored", self.ok("restore", "saved", home=self.other))
        self.assertEqual(self.read_note("ada", self.other), "kept\n")
        info = json.loads(self.ok("agent", "status", "ada", "--json", home=self.other))
        self.assertEqual((info["state"], info["model"]), ("stopped", "qwen2.5:7b"))
        config = json.loads((self.other / "config.json").read_text())
        self.assertEqual((config["irc"], config["set_up_by"]), ({"host": "irc.example.org"}, ""))
        self.assertEqual((self.other / "overseer/audit.log").read_text(), "a line\n")
        self.refused("restore", "saved", home=self.other, text="already; restore into a new home folder")

    def test_a_restore_says_whose_disks_are_missing(self) -> None:
        self.make_home()
        self.ok("backup", "saved", "--no-disks")
        report = json.loads(self.ok("restore", "saved", "--json", home=self.other))
        self.assertEqual(report["left_out"], ["workspaces/ada/disk.ext4: it is not in the backup; agent 'ada' begins "
                                              "with an empty one"])

    def test_with_secrets_a_backup_has_them(self) -> None:
        self.make_home()
        report = json.loads(self.ok("backup", "saved", "--secrets", "--json"))
        self.assertEqual(report["left_out"], [])
        self.ok("restore", "saved", home=self.other)
        self.assertEqual((self.other / "secrets.json").read_text(), (self.home / "secrets.json").read_text())
        self.assertEqual((self.other / "secrets.json").stat().st_mode & 0o777, 0o600)
        self.assertEqual(json.loads((self.other / "config.json").read_text())["irc"]["password"], "hunter2")

    def test_a_damaged_or_foreign_backup_restores_nothing(self) -> None:
        self.make_home()
        self.ok("backup", "saved")
        self.refused("backup", "saved", text="a backup is written to a new folder")

        def broken(name: str) -> Path:
            shutil.rmtree(self.folder / name, ignore_errors=True)
            shutil.copytree(self.folder / "saved", self.folder / name)
            return self.folder / name

        (broken("damaged") / "agents/ada.json").write_text("{}")
        self.refused("restore", "damaged", home=self.other, text="is not the file that was saved")
        disk = broken("damaged") / "workspaces/ada/disk.ext4"
        with open(disk, "r+b") as file:
            file.seek(MIB)
            file.write(b"x")
        self.refused("restore", "damaged", home=self.other, text="is not the file that was saved")
        record = broken("linked") / "agents/ada.json"
        (self.folder / "elsewhere").write_bytes(record.read_bytes())
        record.unlink()
        record.symlink_to(self.folder / "elsewhere")
        self.refused("restore", "linked", home=self.other, text="is not the file that was saved")
        for name in ("../evil", "/etc/evil", "agents/../../evil.json", "runs/x", "agents/ada.json/x"):
            manifest = broken("foreign") / "backup.json"
            value = json.loads(manifest.read_text())
            value["files"].append({"name": name, "bytes": 0, "sha256": ""})
            manifest.write_text(json.dumps(value))
            self.refused("restore", "foreign", home=self.other, text="does not belong into a backup")
        self.refused("restore", "home", home=self.other, text="is not a backup")


if __name__ == "__main__":
    unittest.main()
